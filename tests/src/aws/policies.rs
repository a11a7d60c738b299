//! Changeover's roles may do what `changeover iam-policy` prints for the migration, and nothing else.

use anyhow::{Context, Result};

use super::{AwsSpec, AwsStack, REGION, SOURCE, accounts::GROUP};
use crate::{product::Product, scenario::NAME, stack::Side};

impl AwsStack {
    /// Limits both roles so. What the policies lack is refused from now on, and parks the migration.
    pub async fn limit_to_printed(&self, product: &Product, spec: &AwsSpec) -> Result<()> {
        for side in [Side::Source, Side::Target] {
            let arguments = self.arguments(side, spec);
            let printed = product.ok(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await?;
            let policy = serde_json::from_str(&printed).context("`changeover iam-policy` printed no JSON")?;
            self.limit(side, &policy).await?;
        }
        Ok(())
    }

    fn arguments(&self, side: Side, spec: &AwsSpec) -> Vec<String> {
        let other = if side == Side::Source { Side::Target } else { Side::Source };
        let mut arguments: Vec<&str> = vec!["iam-policy", side.name(), "--migration", NAME, "--region", REGION];
        arguments.extend(["--account", &self.stand_in.account(side).id]);
        arguments.extend(["--other-account", &self.stand_in.account(other).id]);
        arguments.extend(["--source-instance", SOURCE, "--subnet-group", &self.accounts.subnet_group]);
        arguments.push("--without-snapshot");
        if !spec.join {
            arguments.push("--network-is-joined");
        }
        if self.own_group {
            arguments.extend(["--source-group", GROUP]);
        }
        if !spec.publish.is_empty() {
            arguments.extend(["--published", &spec.publish]);
        }
        let ends =
            [(spec.final_snapshot, "--final-snapshot"), (spec.stop, "--stop-source"), (spec.delete, "--delete-source")];
        arguments.extend(ends.into_iter().filter_map(|(wanted, flag)| wanted.then_some(flag)));
        arguments.into_iter().map(str::to_owned).collect()
    }
}
