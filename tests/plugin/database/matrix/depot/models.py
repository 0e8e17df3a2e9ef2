from django.db import models


class Shelf(models.Model):
    name = models.CharField(max_length=40)


class Item(models.Model):
    name = models.CharField(max_length=40, unique=True)
    shelf = models.ForeignKey(Shelf, null=True, on_delete=models.CASCADE, related_name="items")
