//! Nothing is sent to AWS that isn't in the table of calls, whatever the policy of the role would allow.

use std::fmt;

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeSerializationInterceptorContextRef, dyn_dispatch_hint},
        orchestrator::Metadata,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use changeover_domain::{
    Side,
    aws::{Service, table},
};

/// Refuses calls outside of the table before they are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    side: Side,
    undoes: bool,
}

impl Guard {
    pub(crate) fn new(side: Side) -> Self {
        Self { side, undoes: false }
    }
    /// For an undo: nothing but reads and what the table has for it.
    pub(crate) fn of_undo(side: Side) -> Self {
        Self { side, undoes: true }
    }
    fn check(self, service: &str, operation: &str) -> Result<(), OutsideOfTable> {
        let allows = if self.undoes { table::allows_undo } else { table::allows };
        let known = service_of(service).is_some_and(|service| allows(self.side, service, operation));
        if known { Ok(()) } else { Err(OutsideOfTable(format!("{service} {operation} on the {}", self.side))) }
    }
}

#[dyn_dispatch_hint]
impl Intercept for Guard {
    fn name(&self) -> &'static str {
        "Guard"
    }
    // The first hook at which a client's interceptor knows the operation.
    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        match cfg.load::<Metadata>() {
            Some(call) => Ok(self.check(call.service(), call.name())?),
            None => Err(OutsideOfTable("a call without a name".to_owned()).into()),
        }
    }
}

/// A call that isn't in the table: a mistake of ours.
#[derive(Debug)]
pub(crate) struct OutsideOfTable(String);

impl fmt::Display for OutsideOfTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a call that isn't in the table of calls: {}", self.0)
    }
}

impl std::error::Error for OutsideOfTable {}

/// The SDK's names of the services.
fn service_of(name: &str) -> Option<Service> {
    Some(match name {
        "STS" => Service::Sts,
        "RDS" => Service::Rds,
        "KMS" => Service::Kms,
        "SSM" => Service::Ssm,
        "Secrets Manager" => Service::SecretsManager,
        "CloudWatch" => Service::CloudWatch,
        "EC2" => Service::Ec2,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use changeover_domain::aws::{Effect, table::CALLS};

    use super::*;

    /// The text of the crates that make calls.
    fn callers() -> String {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let files = [here.join("src"), here.join("../aws-network/src")].map(|folder| fs::read_dir(folder).unwrap());
        files.into_iter().flatten().map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }

    /// The SDK's name of an operation, such as `describe_db_instances`.
    fn method(action: &str) -> String {
        let mut name = String::new();
        for letter in action.replace("DB", "Db").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    #[test]
    fn every_row_of_the_table_is_called() {
        let callers = callers();
        for call in CALLS.iter().filter(|call| call.effect != Effect::Implied) {
            assert!(callers.contains(&format!(".{}()", method(call.action))), "nothing calls {call}");
        }
    }

    #[test]
    fn only_what_is_in_the_table_goes_out() {
        let guard = Guard::new(Side::Source);
        assert!(guard.check("RDS", "RebootDBInstance").is_ok());
        assert!(guard.check("RDS", "CreateDBInstance").is_err());
        assert!(Guard::new(Side::Target).check("RDS", "CreateDBInstance").is_ok());
        assert!(Guard::of_undo(Side::Source).check("RDS", "RebootDBInstance").is_err());
        assert!(Guard::of_undo(Side::Source).check("RDS", "DeleteDBSnapshot").is_ok());
        assert!(guard.check("DynamoDB", "GetItem").is_err());
    }
}
