"""Calls a running control plane as its OpenAPI documents say, and otherwise, and reports where the two differ.

    documents.py [--examples NUMBER] [--seed NUMBER] DOCUMENT...

schemathesis makes the requests of each operation from the document: within its schemas, and outside them. Each is signed
(signature V3). These must hold of every reply:

- it is no server error, and its status, media type, headers and body are those of the document;
- a refusal has one of the operation's own `x-error-codes`;
- a call that fits the document is accepted, unless its refusal is explained in explained.json;
- a call that does not fit the document is refused;
- each operation succeeds at least once, unless explained.json says why it cannot.

The address and the key come from HANSARD_ENDPOINT, ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET. Calls
create and delete what the key may: only an address of this machine's loopback is accepted.
"""

import argparse
import collections
import hashlib
import hmac
import json
import os
import pathlib
import re
import sys
import time
import uuid
from urllib.parse import parse_qsl, urlsplit

import hypothesis
import requests
import schemathesis
from hypothesis import strategies
from requests.auth import AuthBase
from schemathesis import GenerationMode, checks

HERE = pathlib.Path(__file__).parent
EXPLAINED = json.loads((HERE / "explained.json").read_text())
FORM = "application/x-www-form-urlencoded"

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

POLICY = json.dumps({"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ecs-workbench:List*", "Resource": "*"}]})
TRUST = json.dumps(
    {
        "Version": "1",
        "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": ["acs:ram::1609982529000000:root"]}}
        ],
    }
)

# What exists before each operation is called, so that not every call is about something unknown. The first of each has
# something, so that it cannot be deleted as it is; the second has nothing.
KNOWN = {
    "UserName": ["ana", "bo"],
    "GroupName": ["operators", "viewers"],
    "RoleName": ["auditor", "viewer"],
    "PolicyName": ["read-only", "spare"],
    "PolicyType": ["Custom", "System"],
    "VersionId": ["v1", "v2"],
    "InstanceId": ["i-known1", "*"],
    "ResourceNames": ['["auditor"]', '["viewer"]'],
    "Tag": ['[{"Key":"team","Value":"payments"}]', '[{"Key":"stage"}]'],
    "TagKeys": ['["team"]', '["stage"]'],
    "StoredPrincipal": ["user/ana", "role/auditor"],
    "RoleArn": ["acs:ram::1609982529000000:role/auditor"],
}
EXISTING = [
    # As without a policy for passwords.
    ("SetPasswordPolicy", {}),
    *(("CreateUser", {"UserName": name}) for name in KNOWN["UserName"]),
    *(("CreateGroup", {"GroupName": name}) for name in KNOWN["GroupName"]),
    *(("CreateRole", {"RoleName": name, "AssumeRolePolicyDocument": TRUST}) for name in KNOWN["RoleName"]),
    *(("CreatePolicy", {"PolicyName": name, "PolicyDocument": POLICY}) for name in KNOWN["PolicyName"]),
    ("CreatePolicyVersion", {"PolicyName": "read-only", "PolicyDocument": POLICY, "RotateStrategy": "DeleteOldestNonDefaultVersionWhenLimitExceeded"}),
    ("CreateLoginProfile", {"UserName": "ana", "Password": "correct-horse-9"}),
    ("AddUserToGroup", {"UserName": "ana", "GroupName": "operators"}),
    *(
        (f"AttachPolicyTo{kind}", {f"{kind}Name": KNOWN[f"{kind}Name"][0], "PolicyName": "read-only", "PolicyType": "Custom"})
        for kind in ("User", "Group", "Role")
    ),
]


class Signed(AuthBase):
    """Signs a request when all of it is known."""

    def __init__(self, key_id, secret):
        self.key_id, self.secret = key_id, secret

    def __call__(self, request):
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        digest = hashlib.sha256(body).hexdigest()
        headers = request.headers
        headers["Host"] = urlsplit(request.url).netloc
        headers["x-acs-date"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        headers["x-acs-signature-nonce"] = uuid.uuid4().hex
        headers["x-acs-content-sha256"] = digest
        names = sorted(
            name.lower() for name in headers if name.lower() in ("host", "content-type") or name.lower().startswith("x-acs-")
        )
        lines = "".join(f"{name}:{str(headers[name]).strip()}\n" for name in names)
        canonical = "\n".join([request.method, "/", "", lines, ";".join(names), digest])
        to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        signature = hmac.new(self.secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
        headers["Authorization"] = (
            f"ACS3-HMAC-SHA256 Credential={self.key_id},SignedHeaders={';'.join(names)},Signature={signature}"
        )
        return request


def call(session, endpoint, auth, action, parameters):
    """A call of RAM, and its reply or its refusal."""
    headers = {"x-acs-action": action, "x-acs-version": "2015-05-01", "Content-Type": FORM}
    return session.post(endpoint + "/", data=parameters, headers=headers, auth=auth, timeout=60).json()


def furnish(session, endpoint, auth):
    """Makes what exists and is not there any more."""
    for action, parameters in EXISTING:
        refused = call(session, endpoint, auth, action, parameters).get("Code", "")
        if refused and not refused.startswith(("EntityAlreadyExists", "LimitExceeded")):
            sys.exit(f"documents.py: {action} {parameters} was refused with {refused}")
    keys = [key["AccessKeyId"] for key in call(session, endpoint, auth, "ListAccessKeys", {"UserName": "ana"})["AccessKeys"]["AccessKey"]]
    if not keys:
        keys = [call(session, endpoint, auth, "CreateAccessKey", {"UserName": "ana"})["AccessKey"]["AccessKeyId"]]
    KNOWN["UserAccessKeyId"] = keys


def fits_parameter(schema, text):
    """Whether the text of a form fits the schema of its parameter."""
    kind = schema["type"]
    if kind == "boolean":
        return text.lower() in [str(value).lower() for value in schema.get("enum", [True, False])]
    if kind == "integer":
        return bool(re.fullmatch("-?[0-9]+", text)) and schema["minimum"] <= int(text) <= schema["maximum"]
    length = len(text.encode()) if schema.get("x-length-in-bytes") else len(text)
    return (
        schema.get("minLength", 0) <= length <= schema.get("maxLength", length)
        and text in schema.get("enum", [text])
        and ("pattern" not in schema or bool(re.fullmatch(schema["pattern"], text)))
    )


def fits(schema, form):
    """Whether a form fits the schema of an operation's parameters."""
    # A name has one text, also where it names nothing.
    if len({name for name, _ in form}) < len(form):
        return False
    # An empty text is no value.
    given = {name: text for name, text in form if text and name in schema.get("properties", {})}
    if any(name not in given for name in schema.get("required", [])):
        return False
    return all(fits_parameter(schema["properties"][name], text) for name, text in given.items())


def explained(action, code):
    """Why a call that fits the document may be refused with this code."""
    for row in EXPLAINED["refusals"]:
        if re.fullmatch(row["code"], code) and re.fullmatch(row.get("actions", ".*"), action):
            return row["why"]
    return None


def matches(code, listed):
    return any(re.fullmatch(re.escape(known).replace("<Param>", "[A-Za-z.]+"), code) for known in listed)


class Operation:
    """An operation of a document, and what came of its calls."""

    def __init__(self, operation, raw, session, endpoint, auth):
        self.operation, self.session, self.endpoint, self.auth = operation, session, endpoint, auth
        self.action = raw["operationId"]
        self.codes = raw["x-error-codes"]
        self.schema = raw["requestBody"]["content"][FORM]["schema"]
        self.headers = {
            parameter["name"]: parameter["schema"]["enum"][0] for parameter in raw.get("parameters", []) if parameter["in"] == "header"
        }
        self.outcomes = collections.Counter()
        self.failures = {}

    def realistic(self, body, choices):
        """The same body with known values, or the document's own examples, in most places."""
        if not isinstance(body, dict):
            return body
        body = dict(body)
        for place, (name, schema) in enumerate(sorted(self.schema.get("properties", {}).items())):
            known = KNOWN.get(name) or ([schema["example"]] if "example" in schema else [])
            choice = (choices >> (3 * place)) % 8
            if name in body and known and choice < 6:
                body[name] = known[choice % len(known)]
        return body

    def failed(self, what, case_body, reply):
        text = reply.content.decode(errors="replace")[:400]
        self.failures.setdefault(what, f"{self.action}: {what}\n    sent {str(case_body)[:400]}\n    got {reply.status_code} {text}")

    def call(self, case, choices, positive):
        case.headers = dict(self.headers)
        case.query = {}
        if positive or choices % 2:
            case.body = self.realistic(case.body, choices)
        reply = case.call(base_url=self.endpoint, session=self.session, auth=self.auth, timeout=60)
        sent = reply.request.body or ""
        sent = sent.decode() if isinstance(sent, bytes) else sent
        form = parse_qsl(sent, keep_blank_values=True)
        try:
            case.validate_response(reply, checks=CHECKS)
        except schemathesis.errors.SchemathesisError as error:
            self.failed(f"{type(error).__name__}: {error}"[:600], form, reply)
        except AssertionError as error:
            self.failed(f"{type(error).__name__}: {error}"[:600], form, reply)
        except BaseExceptionGroup as group:
            for error in group.exceptions:
                self.failed(f"{type(error).__name__}: {error}"[:600], form, reply)
        accepted = reply.status_code == 200
        code = "OK" if accepted else reply.json().get("Code", "")
        self.outcomes[code] += 1
        if not accepted and not matches(code, self.codes):
            self.failed(f"{code} is none of the operation's codes", form, reply)
        well_formed = fits(self.schema, form)
        if well_formed and not accepted and explained(self.action, code) is None:
            self.failed(f"it fits the document, and is refused with {code}", form, reply)
        if not well_formed and accepted:
            self.failed("it does not fit the document, and is accepted", form, reply)

    def run(self, examples, seed):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            positive = mode == GenerationMode.POSITIVE

            @hypothesis.seed(seed)
            @hypothesis.settings(
                max_examples=examples,
                database=None,
                deadline=None,
                phases=[hypothesis.Phase.generate],
                suppress_health_check=list(hypothesis.HealthCheck),
            )
            @hypothesis.given(
                case=self.operation.as_strategy(generation_mode=mode), choices=strategies.integers(0, 2**48 - 1)
            )
            def calls(case, choices):
                self.call(case, choices, positive)

            try:
                calls()
            except hypothesis.errors.Unsatisfiable:
                if positive:
                    self.failures["no call"] = f"{self.action}: the document allows no call at all"
        if not self.outcomes["OK"] and self.action not in EXPLAINED["never succeed"]:
            self.failures["never"] = f"{self.action}: it never succeeded: {dict(self.outcomes)}"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--examples", type=int, default=100, help="calls of each operation within its document, and as many others")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("documents", nargs="+", type=pathlib.Path)
    arguments = arguments.parse_args()
    endpoint = os.environ["HANSARD_ENDPOINT"]
    if urlsplit(endpoint).hostname != "127.0.0.1":
        sys.exit("documents.py: only a control plane on 127.0.0.1 is called, because the calls create and delete things")
    auth = Signed(os.environ["ALIBABA_CLOUD_ACCESS_KEY_ID"], os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"])
    failures, total = [], collections.Counter()
    for path in arguments.documents:
        document = json.loads(path.read_text())
        raw = {place: item["post"] for place, item in document["paths"].items()}
        with requests.Session() as session:
            session.trust_env = False
            for result in schemathesis.openapi.from_dict(document).get_all_operations():
                operation = result.ok()
                furnish(session, endpoint, auth)
                operation = Operation(operation, raw[operation.path], session, endpoint, auth)
                operation.run(arguments.examples, arguments.seed)
                print(f"{operation.action}: {dict(operation.outcomes.most_common())}", flush=True)
                failures.extend(operation.failures.values())
                total.update(operation.outcomes)
    print(f"\n{sum(total.values())} calls, {total['OK']} accepted, {len(failures)} findings")
    for failure in failures:
        print(f"\n{failure}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
