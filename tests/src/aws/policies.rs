//! Changeover's roles may do what `changeover iam-policy` prints for the migration, and nothing else.

use anyhow::{Context, Result};

use super::{AwsStack, accounts::GROUP};
use crate::{product::Product, stack::Side};

impl AwsStack {
    /// Limits both roles to what is printed for a spec. What the policies lack is refused from now on, and parks the migration.
    pub async fn limit_to_printed(&self, product: &Product, spec: &str) -> Result<()> {
        for side in [Side::Source, Side::Target] {
            let mut arguments = vec!["iam-policy", side.name(), "--spec", spec];
            if self.own_group {
                arguments.extend(["--source-group", GROUP]);
            }
            let printed = product.ok(&arguments).await?;
            let policy = serde_json::from_str(&printed).context("`changeover iam-policy` printed no JSON")?;
            self.limit(side, &policy).await?;
        }
        Ok(())
    }
}
