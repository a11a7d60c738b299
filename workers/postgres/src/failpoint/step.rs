//! The places within activities that failpoints are at.

macro_rules! steps {
    ($($(#[$doc:meta])+ $step:ident $name:literal [$($activity:literal),+])+) => {
        /// A place within an activity: one of its parts is done, the next one isn't begun. An activity may come there several
        /// times, once for each database or each batch.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Step { $($(#[$doc])+ $step,)+ }

        impl Step {
            /// All of them.
            pub const ALL: &'static [Step] = &[$(Step::$step,)+];
            /// Its name; `NAME.after` is its failpoint.
            pub fn name(self) -> &'static str {
                match self { $(Step::$step => $name,)+ }
            }
            /// The activities that come there, by their names in the contract.
            pub fn activities(self) -> &'static [&'static str] {
                match self { $(Step::$step => &[$($activity),+],)+ }
            }
        }
    };
}

steps! {
    /// A database of a side has its home schema.
    Home "home.database" ["ensure_home"]
    /// The login has become a member of a role.
    Joined "membership.granted" ["ensure_home", "ensure_roles"]
    /// The roles are made, and nothing of them is committed yet.
    RolesOpen "roles.open" ["ensure_roles"]
    /// The roles are there.
    Roles "roles.carried" ["ensure_roles"]
    /// The databases have the source's owners, rights and settings.
    Databases "roles.databases" ["ensure_roles"]
    /// Passwords are set.
    Passwords "roles.passwords" ["ensure_roles"]
    /// The state of the target before the restore is remembered, in one database.
    Baseline "schema.baseline" ["ensure_schema"]
    /// A batch is restored, and not committed yet.
    BatchOpen "schema.open" ["ensure_schema", "finish_schema"]
    /// A batch is restored.
    Batch "schema.batch" ["ensure_schema", "finish_schema"]
    /// One database has all that comes before its rows.
    Schema "schema.database" ["ensure_schema"]
    /// One database has all that comes after its rows.
    Finished "finish.database" ["finish_schema"]
    /// DDL is refused in a database of a side.
    Guard "guard.database" ["ensure_forward"]
    /// The extension is in a database of a side.
    Extension "engine.extension" ["ensure_forward"]
    /// A database of a side is a node.
    Node "engine.node" ["ensure_forward"]
    /// A database of the provider has its replication sets.
    Sets "engine.sets" ["ensure_forward", "ensure_reverse"]
    /// The replication login may read the source's rows.
    Rights "engine.rights" ["ensure_forward"]
    /// A database's subscription is made; its slot may not be there yet.
    Subscription "engine.subscription" ["ensure_forward", "ensure_reverse"]
    /// Triggers of the source that fire on apply are silent.
    Quiet "reverse.quiet" ["ensure_reverse"]
    /// Rows flow back; the fence isn't chosen.
    Reverse "reverse.engine" ["ensure_reverse"]
    /// A database's subscription is disabled.
    Disabled "remove.disabled" ["undo", "finalize"]
    /// A database's subscription is dropped; its slot and its origin aren't.
    Dropped "remove.subscription" ["undo", "finalize"]
    /// Slots and origins are gone; their names are remembered still.
    Slots "remove.slots" ["undo", "finalize"]
    /// A database's node is gone; the extension isn't.
    NoNode "remove.node" ["undo", "finalize"]
    /// A database's extension is gone.
    NoExtension "remove.extension" ["undo", "finalize"]
    /// The guard against DDL is gone from a database of a side.
    NoGuard "remove.guard" ["undo", "finalize"]
    /// What was restored is gone from a database; its notes aren't.
    NoObjects "remove.objects" ["undo"]
    /// The roles are dropped, and nothing of that is committed yet.
    NoRolesOpen "remove.roles" ["undo"]
    /// A membership is taken back; its note is there still.
    Left "remove.membership" ["undo", "finalize"]
    /// A database's home schema is gone.
    NoHome "remove.home" ["undo", "finalize"]
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::Step;
    use crate::switch::Effect;

    #[test]
    fn names_differ_from_each_other_and_from_those_of_the_switch() {
        let all = Step::ALL.iter().map(|step| step.name()).chain(Effect::ALL.iter().map(|effect| effect.name()));
        let names: BTreeSet<_> = all.collect();
        assert_eq!(names.len(), Step::ALL.len() + Effect::ALL.len());
    }

    #[test]
    fn every_step_is_somewhere() {
        let mut all = String::new();
        for sources in ["src", "../worker/src"] {
            read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(sources), &mut all);
        }
        for step in Step::ALL {
            // Where `Step` is something else, this one is called `Place`.
            let comes = ["Step", "Place"].iter().any(|name| all.contains(&format!("step({name}::{step:?})")));
            assert!(comes, "nothing comes to {step:?}");
        }
    }

    fn read(directory: &Path, all: &mut String) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, all);
            } else if path.extension().is_some_and(|e| e == "rs") {
                all.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
}
