import smtplib

from django.core.mail import EmailMessage


class TransientSMTPError(Exception):
    """The mail server could not take the message now, and may take it later."""


def deliver(message: EmailMessage) -> None:
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        if all(400 <= code < 500 for code, _ in error.recipients.values()):
            raise TransientSMTPError(str(error)) from error
        raise
    except smtplib.SMTPResponseException as error:  # RFC 5321: 4yz is transient, 5yz permanent
        if 400 <= error.smtp_code < 500:
            raise TransientSMTPError(str(error)) from error
        raise
    except (smtplib.SMTPServerDisconnected, ConnectionError, TimeoutError) as error:
        raise TransientSMTPError(str(error)) from error
