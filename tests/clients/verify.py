"""Verifies deliveries with the PyPI package `standardwebhooks`.

Standard input: [{"secret": "whsec_…", "headers": {…}, "body": "…"}, …]; standard output: [true, false, …].
"""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError


def accepted(delivery):
    try:
        Webhook(delivery["secret"]).verify(delivery["body"], delivery["headers"])
        return True
    except WebhookVerificationError:
        return False


json.dump([accepted(delivery) for delivery in json.load(sys.stdin)], sys.stdout)
