# Copyright: Kubestead contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's refusals, as errors a person can act on."""

from __future__ import annotations

from .._core.errors import BackendFailed, CollError, Conflict, Denied

_HINTS = {
    "constraintViolation": "A password policy or a uniqueness rule of the server stands against the value.",
    "invalidAttributeSyntax": "Correct the value; the server's text names the attribute.",
    "undefinedAttributeType": "The server lacks the schema of this attribute (sshPublicKey comes with openssh-lpk).",
    "objectClassViolation": "The entry's object classes do not fit; its structural class may be another one.",
    "objectClassModsProhibited": "The entry's structural class can't be changed; remove the entry and make it anew.",
    "insufficientAccessRights": "Give bind_dn write access to this entry.",
    "confidentialityRequired": "Use ldaps://, ldapi:// or start_tls.",
    "strongerAuthRequired": "Use ldaps://, ldapi:// or start_tls.",
    "noSuchObject": "Make the entry above it first; the server's text names the last one it knows.",
    "sizeLimitExceeded": (
        'Raise the limit for bind_dn; with OpenLDAP: limits dn.exact="<bind_dn>" size=unlimited size.prtotal=unlimited.'
    ),
    "adminLimitExceeded": "Raise the look-through limit of the server for bind_dn.",
    "timeLimitExceeded": "Raise the server's time limit for bind_dn, or add an index for the attributes it searches.",
    "unwillingToPerform": "The server's own rules refuse this; its text says which.",
    "notAllowedOnNonLeaf": "Entries below this one exist; remove them first.",
    "invalidCredentials": "Check bind_dn and its password.",
    "other": "The server gives no reason; its log does. OpenLDAP answers so when a name is longer than its database can hold.",
    "referral": "This server is a read-only copy; name the writable one in server_uri.",
}
_PASSWORD_HINTS = {
    "passwordModNotAllowed": "The policy forbids this change of the password.",
    "mustSupplyOldPassword": "The policy has pwdSafeModify TRUE, which asks for the old password; set it FALSE for bind_dn.",
    "insufficientPasswordQuality": "The password is too simple or too short for the policy, or its hash can't be checked.",
    "passwordTooShort": "The password is shorter than the policy's pwdMinLength.",
    "passwordTooYoung": "The password was changed more recently than the policy's pwdMinAge allows.",
    "passwordInHistory": "The person had this password before, and the policy's pwdInHistory forbids it.",
}
_DENIED = ("insufficientAccessRights", "invalidCredentials", "inappropriateAuthentication", "confidentialityRequired")
_CONFLICT = ("entryAlreadyExists", "noSuchAttribute", "attributeOrValueExists")
_READABLE = {"insufficientAccessRights": "insufficient access", "invalidCredentials": "the login was refused"}


def refusal(attempt: str, code: int, name: str, text: str, policy_error: str = "") -> CollError:
    """The error for a result code other than success. ``attempt`` completes "could not ...".

    ``policy_error`` is the reason of the password policy.
    """
    said = f": {text.strip().rstrip('.')}" if text.strip() else ""
    message = f"Could not {attempt}: {_READABLE.get(name, name)} (result {code}){said}."
    kind = Denied if name in _DENIED else Conflict if name in _CONFLICT else BackendFailed
    facts: dict[str, object] = {"ldap_code": code, "ldap_result": name, "ldap_text": text.strip()}
    if policy_error:
        facts["password_policy"] = policy_error
    hint = _PASSWORD_HINTS.get(policy_error) or _hint_from(attempt, name)
    return kind(message, hint=hint, **facts)


def _hint_from(attempt: str, name: str) -> str:
    if name == "constraintViolation" and attempt.startswith("set the password"):
        return "The server's password policy refuses it: too short, too simple, or used before."
    return _HINTS.get(name, "")


def cut_short(base: str, received: int, code: int, name: str, text: str) -> CollError:
    """A search that gave only a part: taken as complete it would create what exists and keep what should go."""
    error = refusal(f"read all of {base}", code, name, text)
    return BackendFailed(f"{error} Only {received} entries were received.", hint=error.hint, **error.facts)


def no_base(base: str, server: str) -> BackendFailed:
    """The place to search does not exist, or may not be seen."""
    return BackendFailed(
        f"{base} does not exist on {server}, or bind_dn may not see it.",
        hint="Correct user_base or group_base, or make the entry first.",
    )
