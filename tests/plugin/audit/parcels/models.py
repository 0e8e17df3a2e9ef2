from django.db import models


class Parcel(models.Model):
    address = models.EmailField(default="jo@example.com")
    state = models.CharField(max_length=20, default="packed")
    told_at = models.DateTimeField(null=True)
    looked_at = models.DateTimeField(null=True)
    tries = models.IntegerField(default=0)
    token = models.CharField(max_length=64, default="")


class Label(models.Model):
    parcel_id = models.IntegerField()
    text = models.CharField(max_length=40)


class OddParcel(Parcel):
    """Another name of the same table, without fields of its own."""

    class Meta:
        proxy = True


class Depot(models.Model):
    """What is set for all parcels, as django-solo keeps it."""

    singleton_instance_id = 1
    name = models.CharField(max_length=20, default="north")
