"""Calls actions of RAM and STS through the vendor's typed Python SDKs.

    ram.py ACTION PARAMETERS_JSON
    ram.py

With arguments it calls one action and prints the outcome as one JSON line. Without, it reads calls from its standard
input, one JSON line {"action": ..., "parameters": ...} each, and answers each with one line. The key and the address
come from ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET, for temporary keys ALIBABA_CLOUD_SECURITY_TOKEN,
and HANSARD_ENDPOINT. The outcome is {"reply": ..., "status": ...} or {"error": {"code", "status", "message",
"request_id", "detail", "class"}}; anything else ends the program with a traceback, so that a crash inside the SDK is
told apart.
"""

import json
import os
import re
import sys
from urllib.parse import urlsplit

from alibabacloud_ram20150501 import models as ram_models
from alibabacloud_ram20150501.client import Client as RamClient
from alibabacloud_sts20150401 import models as sts_models
from alibabacloud_sts20150401.client import Client as StsClient
from alibabacloud_tea_openapi.models import Config
from darabonba.runtime import RuntimeOptions


def config():
    return Config(
        access_key_id=os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"],
        access_key_secret=os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"],
        security_token=os.environ.get("ALIBABA_CLOUD_SECURITY_TOKEN"),
        endpoint=urlsplit(os.environ["HANSARD_ENDPOINT"]).netloc,
        protocol="http",
    )


# The two products share no action.
PRODUCTS = [(RamClient(config()), ram_models), (StsClient(config()), sts_models)]


def call(action, parameters):
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower() + "_with_options"
    client, models = next((client, models) for client, models in PRODUCTS if hasattr(client, name))
    # An action without parameters has no request.
    request = getattr(models, action + "Request", None)
    arguments = [request().from_map(parameters)] if request else []
    try:
        reply = getattr(client, name)(*arguments, RuntimeOptions())
    except Exception as error:  # the SDK's exceptions share no public base
        if getattr(error, "code", None) is None:
            raise
        data = getattr(error, "data", None) or {}
        return {
            "error": {
                "code": error.code,
                "status": getattr(error, "status_code", None) or data.get("statusCode"),
                "message": error.message,
                "request_id": getattr(error, "request_id", None) or data.get("RequestId"),
                "detail": getattr(error, "access_denied_detail", None),
                "class": type(error).__name__,
            }
        }
    return {"reply": reply.body.to_map(), "status": reply.status_code}


def main():
    if len(sys.argv) == 3:
        calls = [{"action": sys.argv[1], "parameters": json.loads(sys.argv[2])}]
    else:
        calls = map(json.loads, sys.stdin)
    for asked in calls:
        print(json.dumps(call(asked["action"], asked["parameters"])), flush=True)


main()
