//! What an error code of AWS means for who has to act: one total table.
//!
//! The codes are those of the services' own lists, such as
//! <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/CommonErrors.html> and the *Errors* of each operation. RDS leaves the ending
//! `Fault` off most of them on the wire; they are looked up without it.

use crate::{Class, Failure, Side};

/// A row: class, our code, what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Who has to act.
    pub class: Class,
    /// The page that explains it.
    pub code: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

const fn meaning(class: Class, code: &'static str, remedy: &'static str) -> Meaning {
    Meaning { class, code, remedy }
}

const PASSES: Meaning = meaning(
    Class::Transient,
    "CO1001",
    "nothing, if it passes; else look at the service's health and the worker's network",
);
const EXPIRED: Meaning = meaning(
    Class::Transient,
    "CO1002",
    "a new session is opened; if that fails, renew the credentials that the worker starts from",
);
const SKEWED: Meaning =
    meaning(Class::NeedsHuman, "CO1002", "set the clock of the worker's machine, then `changeover retry`");
const DENIED: Meaning = meaning(
    Class::Refused,
    "CO1003",
    "give the role the right that the message names; `changeover iam-policy` prints all that are needed",
);
const QUOTA: Meaning =
    meaning(Class::NeedsHuman, "CO1004", "raise the quota or remove what isn't needed, then `changeover retry`");
const KEY: Meaning = meaning(
    Class::Refused,
    "CO1005",
    "enable the key, and let its policy and the role's allow its use in this account",
);
const MISSING: Meaning = meaning(Class::Refused, "CO1006", "correct the name, region or account in the spec");
const BUSY: Meaning = meaning(Class::Transient, "CO1007", "wait until the resource is available; it is tried again");
const TAKEN: Meaning =
    meaning(Class::Refused, "CO1008", "remove or rename what stands there, or give the migration another name");
const WRONG: Meaning = meaning(Class::Refused, "CO1009", "correct the value in the spec that the message names");
const UNKNOWN: Meaning = meaning(
    Class::NeedsHuman,
    "CO1010",
    "look the error up in AWS's documentation, mend the cause, then `changeover retry`",
);
const NO_LOGIN: Meaning = meaning(
    Class::Refused,
    "CO1003",
    "give the worker credentials, and let the role's trust policy take them (and the external id), then `changeover retry`",
);
const NO_SECURE_STRING: Meaning = meaning(Class::Refused, "CO1024", "name another parameter");
const LOST_RACE: Meaning = meaning(
    Class::NeedsHuman,
    "CO1016",
    "see who changed the parameter and which value is right, then `changeover retry`",
);

/// The meaning of a code. Total: what isn't listed needs a person.
pub fn meaning_of(code: &str) -> Meaning {
    let code = code.strip_suffix("Fault").unwrap_or(code);
    credentials(code)
        .or_else(|| passing(code))
        .or_else(|| limits(code))
        .or_else(|| keys(code))
        .or_else(|| states(code))
        .or_else(|| plan(code))
        .unwrap_or(UNKNOWN)
}

fn credentials(code: &str) -> Option<Meaning> {
    Some(match code {
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => EXPIRED,
        "RequestExpired" | "RequestTimeTooSkewed" | "InvalidSignatureException" => SKEWED,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "AuthFailure"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "OptInRequired"
        | "AuthorizationError" => DENIED,
        _ => return None,
    })
}

fn passing(code: &str) -> Option<Meaning> {
    Some(match code {
        // The SDK's own list of throttling and of what passes, which it has retried before we see it.
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "TooManyUpdates"
        | "BandwidthLimitExceeded"
        | "SlowDown"
        | "PriorRequestNotComplete"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "InternalError"
        | "InternalFailure"
        | "InternalServerError"
        | "InternalServiceError"
        | "InternalService"
        | "KMSInternalException"
        | "DependencyTimeoutException"
        | "ServiceUnavailable"
        | "Unavailable" => PASSES,
        _ => return None,
    })
}

fn limits(code: &str) -> Option<Meaning> {
    Some(match code {
        "InstanceQuotaExceeded"
        | "SnapshotQuotaExceeded"
        | "StorageQuotaExceeded"
        | "DBParameterGroupQuotaExceeded"
        | "OptionGroupQuotaExceededException"
        | "SharedSnapshotQuotaExceeded"
        | "LimitExceeded"
        | "LimitExceededException"
        | "ParameterLimitExceeded"
        | "ParameterMaxVersionLimitExceeded"
        | "ParameterVersionLabelLimitExceeded"
        | "VpcPeeringConnectionsPerVpcLimitExceeded"
        | "ActiveVpcPeeringConnectionPerVpcLimitExceeded"
        | "OutstandingVpcPeeringConnectionLimitExceeded"
        | "PendingVpcPeeringConnectionLimitExceeded"
        | "RouteLimitExceeded"
        | "RulesPerSecurityGroupLimitExceeded"
        | "InsufficientDBInstanceCapacity" => QUOTA,
        _ => return None,
    })
}

fn keys(code: &str) -> Option<Meaning> {
    Some(match code {
        "KMSKeyNotAccessible"
        | "DisabledException"
        | "KMSInvalidStateException"
        | "KeyUnavailableException"
        | "InvalidKeyUsageException"
        | "EncryptionFailure"
        | "DecryptionFailure"
        | "InvalidKeyId" => KEY,
        _ => return None,
    })
}

fn states(code: &str) -> Option<Meaning> {
    Some(match code {
        "InvalidDBInstanceState"
        | "InvalidDBSnapshotState"
        | "InvalidDBParameterGroupState"
        | "InvalidOptionGroupState"
        | "ConcurrentModificationException"
        | "ConflictException"
        | "IncorrectState" => BUSY,
        "ParameterAlreadyExists" => LOST_RACE,
        "HierarchyTypeMismatchException" => NO_SECURE_STRING,
        "DBInstanceAlreadyExists"
        | "DBSnapshotAlreadyExists"
        | "DBParameterGroupAlreadyExists"
        | "OptionGroupAlreadyExists"
        | "VpcPeeringConnectionAlreadyExists"
        | "AlreadyExistsException"
        | "ResourceExistsException" => TAKEN,
        "DBInstanceNotFound"
        | "DBSnapshotNotFound"
        | "DBParameterGroupNotFound"
        | "OptionGroupNotFound"
        | "DBSubnetGroupNotFound"
        | "NotFoundException"
        | "ParameterNotFound"
        | "ParameterVersionNotFound"
        | "ResourceNotFoundException" => MISSING,
        code if code.starts_with("Invalid") && code.ends_with(".NotFound") => MISSING,
        _ => return None,
    })
}

fn plan(code: &str) -> Option<Meaning> {
    Some(match code {
        "InvalidParameterValue"
        | "InvalidParameterCombination"
        | "InvalidParameterException"
        | "InvalidParameter"
        | "InvalidRequestException"
        | "MissingParameter"
        | "ValidationError"
        | "ValidationException"
        | "MalformedPolicyDocument"
        | "MalformedPolicyDocumentException"
        | "TagException"
        | "UnsupportedOperationException"
        | "UnsupportedParameterType"
        | "StorageTypeNotSupported"
        | "DBSubnetGroupDoesNotCoverEnoughAZs"
        | "InvalidSubnet"
        | "InvalidVPCNetworkState"
        | "ProvisionedIopsNotAvailableInAZ"
        | "InvalidRestore"
        | "HierarchyLevelLimitExceededException" => WRONG,
        _ => return None,
    })
}

/// The failure of a call that AWS has answered with an error. `message` is the service's own; it names resources and never holds a
/// password: no call of ours is refused for one, except by its length.
pub fn answered(side: Side, what: &str, code: &str, message: &str) -> Failure {
    let meaning = meaning_of(code);
    let message = if message.is_empty() { "no message" } else { message };
    Failure::new(meaning.code, meaning.class, format!("{what} on the {side}: {code}: {message}"), meaning.remedy)
}

/// The failure of a call that AWS has answered with a status of 500 or more: a code that isn't listed passes, since it is AWS' own fault.
pub fn broken(side: Side, what: &str, status: u16, code: &str, message: &str) -> Failure {
    if meaning_of(code) == UNKNOWN {
        return unanswered(side, what, &format!("HTTP status {status} {code} {message}"));
    }
    answered(side, what, code, message)
}

/// The failure of a call that couldn't be made, since there are no credentials for it: the chain has none, or the role can't be assumed.
pub fn no_credentials(side: Side, what: &str, cause: &str) -> Failure {
    Failure::new(NO_LOGIN.code, NO_LOGIN.class, format!("{what} on the {side}: {cause}"), NO_LOGIN.remedy)
}

/// The failure of a call that AWS hasn't answered, or whose answer was lost: what was asked for may have been done.
pub fn unanswered(side: Side, what: &str, cause: &str) -> Failure {
    Failure::new(PASSES.code, PASSES.class, format!("{what} on the {side}: {cause}"), PASSES.remedy)
}

/// Something stands under a name of ours and isn't ours.
pub fn not_ours(side: Side, what: &str, owner: &super::names::Owner) -> Failure {
    let message = format!("{what} on the {side} is {}: it is neither used nor changed", owner.describe());
    Failure::new(TAKEN.code, TAKEN.class, message, TAKEN.remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Throttling", Class::Transient, "CO1001")]
    #[case("ExpiredToken", Class::Transient, "CO1002")]
    #[case("RequestTimeTooSkewed", Class::NeedsHuman, "CO1002")]
    #[case("AccessDenied", Class::Refused, "CO1003")]
    #[case("UnauthorizedOperation", Class::Refused, "CO1003")]
    #[case("InstanceQuotaExceeded", Class::NeedsHuman, "CO1004")]
    #[case("InsufficientDBInstanceCapacity", Class::NeedsHuman, "CO1004")]
    #[case("KMSKeyNotAccessibleFault", Class::Refused, "CO1005")]
    #[case("DBInstanceNotFound", Class::Refused, "CO1006")]
    #[case("InvalidVpcPeeringConnectionID.NotFound", Class::Refused, "CO1006")]
    #[case("InvalidDBInstanceStateFault", Class::Transient, "CO1007")]
    #[case("DBSnapshotAlreadyExists", Class::Refused, "CO1008")]
    #[case("InvalidParameterValue", Class::Refused, "CO1009")]
    #[case("ParameterAlreadyExists", Class::NeedsHuman, "CO1016")]
    #[case("SomethingThatAwsMadeUpYesterday", Class::NeedsHuman, "CO1010")]
    #[case("HierarchyTypeMismatchException", Class::Refused, "CO1024")]
    #[case("", Class::NeedsHuman, "CO1010")]
    fn codes_have_a_class_and_a_page(#[case] aws: &str, #[case] class: Class, #[case] code: &str) {
        let meaning = meaning_of(aws);
        assert_eq!((meaning.class, meaning.code), (class, code));
    }

    #[test]
    fn a_fault_of_aws_own_passes_and_a_refusal_by_500_does_not() {
        let class = |code: &str| broken(Side::Source, "looking", 500, code, "").class;
        assert_eq!((class("WeirdFault"), class("")), (Class::Transient, Class::Transient));
        assert_eq!(class("AccessDenied"), Class::Refused);
        assert_eq!(no_credentials(Side::Source, "looking", "none").class, Class::Refused);
    }

    #[test]
    fn a_failure_says_what_was_done_and_where() {
        let failure = answered(Side::Source, "rebooting orders", "InvalidDBInstanceState", "it is modifying");
        assert_eq!(
            failure.to_string(),
            "CO1007 rebooting orders on the source: InvalidDBInstanceState: it is modifying"
        );
    }
}
