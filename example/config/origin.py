from channels.security.websocket import OriginValidator
from django.conf import settings


class SiteOriginValidator(OriginValidator):
    """Refuses a WebSocket that another site's page opens in a visitor's browser with that visitor's cookies.

    A browser always sends Origin and a page can't change it, so an Origin must be one of ALLOWED_HOSTS. What sends
    none is no browser: it carries nobody's cookies by accident, and passes. (Channels' AllowedHostsOriginValidator
    refuses it, unless ALLOWED_HOSTS has "*", which would let every Origin pass.) Who may do what is decided by the
    consumers, from the session.
    """

    def __init__(self, application):
        super().__init__(application, allowed_origins=[])

    def valid_origin(self, parsed_origin):
        # Read at each handshake, so that a test's override of the setting counts.
        self.allowed_origins = settings.ALLOWED_HOSTS
        return parsed_origin is None or self.validate_origin(parsed_origin)
