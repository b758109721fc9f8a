"""Calls one action through one of the vendor's Python SDKs and prints the outcome as one JSON line.

    call.py SDK ACTION PARAMETERS_JSON

SDK is one of typed, typed-async, typed-v1, legacy-post, legacy-get. The key and the address come from
ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET, for temporary keys ALIBABA_CLOUD_SECURITY_TOKEN, and
HANSARD_ENDPOINT. The outcome is
{"reply": ...} or {"error": {"code", "status", "message", "request_id", "detail", ...}}; the program exits 0 for both,
so that a crash inside the SDK is told apart.
"""

import asyncio
import json
import os
import re
import sys
from urllib.parse import urlsplit

ENDPOINT = urlsplit(os.environ["HANSARD_ENDPOINT"])
KEY_ID = os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"]
KEY_SECRET = os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
TOKEN = os.environ.get("ALIBABA_CLOUD_SECURITY_TOKEN")


def typed(action, parameters, asynchronous=False, signature_algorithm=None):
    from alibabacloud_ecs_workbench20220220 import models
    from alibabacloud_ecs_workbench20220220.client import Client
    from alibabacloud_tea_openapi.models import Config
    from darabonba.runtime import RuntimeOptions

    config = Config(
        access_key_id=KEY_ID,
        access_key_secret=KEY_SECRET,
        security_token=TOKEN,
        endpoint=ENDPOINT.netloc,
        protocol="http",
    )
    if signature_algorithm:
        config.signature_algorithm = signature_algorithm
    client = Client(config)
    request = getattr(models, action + "Request")().from_map(parameters)
    method = re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower() + "_with_options"
    try:
        if asynchronous:
            reply = asyncio.run(getattr(client, method + "_async")(request, RuntimeOptions()))
        else:
            reply = getattr(client, method)(request, RuntimeOptions())
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
                "retry_after": getattr(error, "retry_after", None),
            }
        }
    return {"reply": reply.body.to_map(), "status": reply.status_code}


def legacy(action, parameters, method):
    from aliyunsdkcore.acs_exception.exceptions import ServerException
    from aliyunsdkcore.auth.credentials import StsTokenCredential
    from aliyunsdkcore.client import AcsClient
    from aliyunsdkcore.request import CommonRequest

    if TOKEN:
        client = AcsClient(region_id="cn-hangzhou", credential=StsTokenCredential(KEY_ID, KEY_SECRET, TOKEN))
    else:
        client = AcsClient(KEY_ID, KEY_SECRET, "cn-hangzhou")
    request = CommonRequest(domain=ENDPOINT.netloc, version="2022-02-20", action_name=action)
    request.set_protocol_type("http")
    request.set_method(method)
    for name, value in parameters.items():
        if method == "POST":
            request.add_body_params(name, value)
        else:
            request.add_query_param(name, value)
    try:
        reply = client.do_action_with_exception(request)
    except ServerException as error:
        return {
            "error": {
                "code": error.get_error_code(),
                "status": error.get_http_status(),
                "message": error.get_error_msg(),
                "request_id": error.get_request_id(),
            }
        }
    return {"reply": json.loads(reply)}


def main():
    sdk, action, parameters = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    ways = {
        "typed": lambda: typed(action, parameters),
        "typed-async": lambda: typed(action, parameters, asynchronous=True),
        "typed-v1": lambda: typed(action, parameters, signature_algorithm="v2"),
        "legacy-post": lambda: legacy(action, parameters, "POST"),
        "legacy-get": lambda: legacy(action, parameters, "GET"),
    }
    print(json.dumps(ways[sdk]()))


main()
