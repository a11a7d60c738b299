//! A spec for a stack, as a person would write it.

use std::path::Path;

use crate::stack::StackInfo;

/// What differs between the specs of demo and tests.
#[derive(Clone, Debug)]
pub struct SpecOptions {
    /// The migration's name.
    pub name: String,
    /// Databases with their append-only tables.
    pub databases: Vec<(String, Vec<String>)>,
    /// Where the worker finds the passwords of application roles: role and reference, such as `{ env = "NAME" }`.
    pub passwords: Vec<(String, String)>,
    /// The same of the replication login.
    pub replication_password: String,
    /// The same of the poolers' consoles.
    pub pooler_password: String,
    /// Through PgBouncer.
    pub pooler: bool,
    /// How long the soak lasts, such as `5s`.
    pub soak: String,
}

/// A reference to a variable of the worker.
pub fn variable(name: &str) -> String {
    format!("{{ env = \"{name}\" }}")
}

/// The TOML text.
pub fn spec_text(info: &StackInfo, options: &SpecOptions) -> String {
    let ca = info.ca.display();
    let mut text = format!("name = \"{}\"\nengine = \"pglogical\"\n", options.name);
    for (side, port) in [("source", info.source.port), ("target", info.target.port)] {
        let variable = format!("CHANGEOVER_{}_PASSWORD", side.to_uppercase());
        text += &format!(
            "\n[{side}]\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"changeover\"\npassword = {{ env = \"{variable}\" }}\n\
             ca_file = \"{ca}\"\nescalation = \"rds_tools.escalate\"\n"
        );
    }
    text + &rest_of_spec(info, &info.ca, options)
}

/// What follows the two sides. The servers verify each other by `server_ca`.
pub fn rest_of_spec(info: &StackInfo, server_ca: &Path, options: &SpecOptions) -> String {
    let (ca, server_ca) = (info.ca.display(), server_ca.display());
    let mut text = String::new();
    for (database, tables) in &options.databases {
        text += &format!("\n[[databases]]\nname = \"{database}\"\n");
        if !tables.is_empty() {
            text += &format!("insert_only_tables = {tables:?}\n");
        }
    }
    text += &format!(
        "\n[replication]\nuser = \"changeover_repl\"\npassword = {}\n\
         server_ca_file = \"{server_ca}\"\npoll = \"1s\"\n",
        options.replication_password
    );
    if !options.passwords.is_empty() {
        text += "\n[roles.passwords]\n";
        for (role, reference) in &options.passwords {
            text += &format!("{role} = {reference}\n");
        }
    }
    if options.pooler {
        text += &format!(
            "\n[[traffic.pgbouncer]]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"pgbouncer_admin\"\n\
             password = {}\nca_file = \"{ca}\"\ndatabases_file = \"{}\"\n",
            info.pooler.port,
            options.pooler_password,
            info.pooler.databases_file().display()
        );
    }
    // The sample has a smallserial, whose 32,767 numbers don't bear the default margin at each of several switches.
    text += "\n[budgets]\nsequence_margin = 1000\n";
    text += &format!("\n[soak]\nduration = \"{}\"\npoll = \"1s\"\n", options.soak);
    text
}
