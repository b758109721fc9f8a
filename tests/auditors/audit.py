"""Prepares an account, lets the auditors look at it, and compares what they find with what is true.

The programs are taken from BENCHMARK_PROGRAMS, the auditors' interpreters from PROWLER_PYTHON and SCOUTSUITE_PYTHON.
"""

import json
import os
import pathlib
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent / "bench"))
from deployment import ACCOUNT, BIN, KEY_ID, KEY_SECRET, Deployment  # noqa: E402

EVERYTHING = {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
READING = {
    "Version": "1",
    "Statement": [{"Effect": "Allow", "Action": "ecs-workbench:ListInstanceRecords", "Resource": "*"}],
}
# Of the character classes all but symbols. Nobody signs in with a password here yet, so that age, reuse and attempts
# are neither counted nor accepted.
PASSWORD_POLICY = {
    "MinimumPasswordLength": "14",
    "RequireLowercaseCharacters": "true",
    "RequireUppercaseCharacters": "true",
    "RequireNumbers": "true",
    "RequireSymbols": "false",
}


def prepare(deployment):
    """The account: ana signs in to the console and has a policy of her own, bob is in a group and has two keys, eve has
    nothing. One policy allows everything and is attached, another does and is not. Returns bob's keys: one that has
    signed a call, and one that has not."""

    def call(action, **parameters):
        return deployment.call(action, *[f"{name}={value}" for name, value in parameters.items()])

    for user in ("ana", "bob", "eve"):
        call("CreateUser", UserName=user)
    call("CreateGroup", GroupName="crew")
    call("AddUserToGroup", UserName="bob", GroupName="crew")
    for name, document in {"everything": EVERYTHING, "reading": READING, "unused": EVERYTHING}.items():
        call("CreatePolicy", PolicyName=name, PolicyDocument=json.dumps(document))
    call("AttachPolicyToUser", PolicyType="Custom", PolicyName="everything", UserName="ana")
    call("AttachPolicyToGroup", PolicyType="Custom", PolicyName="reading", GroupName="crew")
    call("CreateLoginProfile", UserName="ana", Password="Correct-Horse-7-Battery")
    call("SetPasswordPolicy", **PASSWORD_POLICY)
    used, unused = (call("CreateAccessKey", UserName="bob")["AccessKey"] for _ in range(2))
    as_bob = deployment.client_environment | {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": used["AccessKeyId"],
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": used["AccessKeySecret"],
    }
    list_records = [BIN / "hansard", "call", "ListInstanceRecords"]
    subprocess.run(list_records, env=as_bob, check=True, stdout=subprocess.DEVNULL)
    return used["AccessKeyId"], unused["AccessKeyId"]


def prowler_truth(keys):
    root, policy = f"acs:ram::{ACCOUNT}:root", f"acs:ram::{ACCOUNT}:password-policy"
    user = f"acs:ram::{ACCOUNT}:user/"
    return {
        # The auditor signs with it.
        ("ram_no_root_access_key", root): "FAIL",
        ("ram_password_policy_lowercase", policy): "PASS",
        ("ram_password_policy_uppercase", policy): "PASS",
        ("ram_password_policy_number", policy): "PASS",
        ("ram_password_policy_symbol", policy): "FAIL",
        ("ram_password_policy_minimum_length", policy): "PASS",
        ("ram_password_policy_max_login_attempts", policy): "FAIL",
        ("ram_password_policy_max_password_age", policy): "PASS",
        ("ram_password_policy_password_reuse_prevention", policy): "FAIL",
        ("ram_policy_attached_only_to_group_or_roles", f"{user}ana"): "FAIL",
        ("ram_policy_attached_only_to_group_or_roles", f"{user}bob"): "PASS",
        ("ram_policy_attached_only_to_group_or_roles", f"{user}eve"): "PASS",
        ("ram_policy_no_administrative_privileges", f"acs:ram::{ACCOUNT}:policy/everything"): "FAIL",
        ("ram_policy_no_administrative_privileges", f"acs:ram::{ACCOUNT}:policy/reading"): "PASS",
        ("ram_user_console_access_unused", f"{user}ana"): "FAIL",
        ("ram_user_console_access_unused", f"{user}bob"): "PASS",
        ("ram_user_console_access_unused", f"{user}eve"): "PASS",
        ("ram_user_mfa_enabled_console_access", f"{user}ana"): "FAIL",
    } | {("ram_rotate_access_key_90_days", f"{user}bob/accesskey/{key}"): "PASS" for key in keys}


def prowler(deployment):
    out = deployment.folder / "prowler"
    command = [os.environ["PROWLER_PYTHON"], here / "prowler_ram.py", "alibabacloud", "--service", "ram"]
    command += ["--output-formats", "json-ocsf", "--output-directory", out, "--output-filename", "found"]
    # The log has what went wrong with a call; a check whose call failed would only be missing.
    command += ["--ignore-exit-code-3", "--no-banner", "--no-color", "--log-level", "ERROR"]
    ran = subprocess.run(command, env=deployment.client_environment, capture_output=True, text=True)
    if ran.returncode != 0 or "ERROR" in ran.stdout + ran.stderr:
        raise SystemExit(f"Prowler failed ({ran.returncode}):\n{ran.stdout}\n{ran.stderr}")
    found = json.loads((out / "found.ocsf.json").read_text())
    return {(one["metadata"]["event_code"], one["resources"][0]["uid"]): one["status_code"] for one in found}


def scoutsuite_truth(keys):
    """What its rules flag, and the facts that they are about."""
    used, unused = keys
    rules = {
        "ram-password-policy-expiration-threshold": 1,
        "ram-password-policy-minimum-length": 0,
        "ram-password-policy-no-expiration": 1,
        "ram-password-policy-no-lowercase-required": 0,
        "ram-password-policy-no-number-required": 0,
        "ram-password-policy-no-symbol-required": 1,
        "ram-password-policy-no-uppercase-required": 0,
        "ram-password-policy-reuse-enabled": 1,
        # It takes users for such that sign in to the console by the time of their last login, and nobody has one yet.
        "ram-user-lacking-mfa": 0,
        "ram-user-with-multiple-api-keys": 1,
    }
    facts = {
        "users": ["ana", "bob", "eve"],
        "users with MFA": [],
        "keys that signed": [used],
        "keys that never signed": [unused],
        "members of crew": ["bob"],
        "policies that are attached": {"everything": {"users": ["ana"]}, "reading": {"groups": ["crew"]}},
        "minimum password length": 14,
        "users manage their own keys": False,
    }
    return rules | facts


def scoutsuite(deployment):
    out = deployment.folder / "scoutsuite"
    environment = deployment.client_environment
    command = [os.environ["SCOUTSUITE_PYTHON"], here / "scoutsuite_ram.py", "aliyun", "--access-keys"]
    command += ["--access-key-id", KEY_ID, "--access-key-secret", KEY_SECRET, "--services", "ram"]
    command += ["--no-browser", "--report-dir", out, "--report-name", "found"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    failures = out / "scoutsuite-results" / "scoutsuite_exceptions_found.js"
    # A variable in the first line, and JSON below it.
    if ran.returncode != 0 or "ERROR" in ran.stderr or json.loads(failures.read_text().split("\n", 1)[1]):
        raise SystemExit(f"ScoutSuite failed ({ran.returncode}):\n{ran.stdout}\n{ran.stderr}\n{failures}")
    text = (out / "scoutsuite-results" / "scoutsuite_results_found.js").read_text()
    ram = json.loads(text.split("\n", 1)[1])["services"]["ram"]
    users = ram["users"]
    keys = [key for user in users.values() for key in user["api_keys"].values()]
    return {rule: finding["flagged_items"] for rule, finding in ram["findings"].items()} | {
        "users": sorted(users),
        "users with MFA": [name for name, user in users.items() if user["mfa_status"]],
        "keys that signed": [key["id"] for key in keys if key["last_usage_datetime"]],
        "keys that never signed": [key["id"] for key in keys if key["last_usage_datetime"] is None],
        "members of crew": [user["name"] for user in ram["groups"]["crew"]["users"]],
        "policies that are attached": {name: policy["entities"] for name, policy in ram["policies"].items()},
        "minimum password length": ram["password_policy"]["minimum_password_length"],
        "users manage their own keys": ram["security_policy"]["allow_user_manage_access_keys"],
    }


def compare(auditor, found, truth):
    """Prints where the two differ; returns whether they do not."""
    wrong = sorted(
        f"{auditor}: {check}: found {found.get(check)}, and the truth is {truth.get(check)}"
        for check in found.keys() | truth.keys()
        if found.get(check) != truth.get(check)
    )
    print("\n".join(wrong) or f"{auditor}: all {len(truth)} findings are true")
    return not wrong


with Deployment() as deployment:
    keys = prepare(deployment)
    right = compare("Prowler", prowler(deployment), prowler_truth(keys))
    right &= compare("ScoutSuite", scoutsuite(deployment), scoutsuite_truth(keys))
sys.exit(0 if right else 1)
