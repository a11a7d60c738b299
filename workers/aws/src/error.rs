//! From the SDK's errors to failures, for this crate and the network's.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use changeover_domain::{Class, Failure, Side, aws::errors};

use crate::guard::OutsideOfTable;

/// A call's error, as a failure.
pub trait Told<T> {
    /// `what` says what was being done.
    fn told(self, side: Side, what: &str) -> Result<T, Failure>;
    /// `None` for an error by one of these codes of AWS.
    fn unless(self, codes: &[&str], side: Side, what: &str) -> Result<Option<T>, Failure>;
}

impl<T, E> Told<T> for Result<T, SdkError<E, HttpResponse>>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn told(self, side: Side, what: &str) -> Result<T, Failure> {
        self.map_err(|error| failure(side, what, &error))
    }
    fn unless(self, codes: &[&str], side: Side, what: &str) -> Result<Option<T>, Failure> {
        match self {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if has_code(&error, codes) => Ok(None),
            Err(error) => Err(failure(side, what, &error)),
        }
    }
}

/// Whether AWS has answered with one of these codes. RDS leaves `Fault` off most of its own.
pub(crate) fn has_code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>, codes: &[&str]) -> bool {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default();
    codes.contains(&code.strip_suffix("Fault").unwrap_or(code))
}

fn failure<E>(side: Side, what: &str, error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if let Some(outside) = outside_of_table(error) {
        return Failure::invariant("CO1025", format!("{what}: {outside}"));
    }
    match error {
        SdkError::ServiceError(answer) => {
            let (code, message) = (answer.err().code(), answer.err().message());
            let status = answer.raw().status();
            match code {
                // Also one without a body, as a load balancer gives.
                code if status.is_server_error() => {
                    errors::broken(side, what, status.as_u16(), code.unwrap_or_default(), message.unwrap_or_default())
                }
                Some(code) => errors::answered(side, what, code, message.unwrap_or_default()),
                None => errors::answered(side, what, "", message.unwrap_or_default()),
            }
        }
        SdkError::ConstructionFailure(_) => errors::answered(side, what, "ValidationError", &causes(error)),
        // Credentials are fetched on the way.
        _ if has_no_credentials(error) => errors::no_credentials(side, what, &causes(error)),
        _ => errors::unanswered(side, what, &causes(error)),
    }
}

/// Whether there is nobody to make the call as: nothing in the chain of credentials, or a role that AWS doesn't let us assume. A service of
/// credentials that couldn't be reached isn't meant.
fn has_no_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(now) = cause {
        if let Some(CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)) =
            now.downcast_ref::<CredentialsError>()
        {
            return true;
        }
        if let Some(refused) = now.downcast_ref::<AssumeRoleError>() {
            return errors::meaning_of(refused.code().unwrap_or_default()).class == Class::Refused;
        }
        cause = now.source();
    }
    false
}

fn outside_of_table(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(now) = cause {
        if let Some(outside) = now.downcast_ref::<OutsideOfTable>() {
            return Some(outside.to_string());
        }
        cause = now.source();
    }
    None
}

/// An error with its causes, without the debug output of the request that the SDK's own text has.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(now) = cause {
        text = format!("{text}: {now}");
        cause = now.source();
    }
    text
}
