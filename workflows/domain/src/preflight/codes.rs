//! The codes of preflight, with their titles. Each has a page in `docs/errors/`.

/// Code and title, in order.
pub const CODES: &[(&str, &str)] = &[
    ("CO0301", "A side can't be reached"),
    ("CO0302", "A check couldn't be made"),
    ("CO0303", "A version that this engine isn't proven on"),
    ("CO0304", "The server is a standby"),
    ("CO0305", "wal_level isn't logical"),
    ("CO0306", "pglogical isn't loaded or available"),
    ("CO0307", "track_commit_timestamp is off"),
    ("CO0308", "pglogical's output plugin isn't allowed"),
    ("CO0309", "Too few replication slots"),
    ("CO0310", "Too few WAL senders"),
    ("CO0311", "Too few background workers"),
    ("CO0312", "Too few connections"),
    ("CO0313", "Passwords would be stored as md5"),
    ("CO0314", "wal_sender_timeout is out of bounds"),
    ("CO0315", "WAL of the copy exceeds what may be kept"),
    ("CO0316", "A setting of a role or database gets in the way"),
    ("CO0317", "Source and target are the same cluster"),
    ("CO0318", "Commits aren't durable"),
    ("CO0319", "The clocks differ"),
    ("CO0320", "Too few locks"),
    ("CO0321", "Free disk can't be seen"),
    ("CO0322", "The login can't manage roles"),
    ("CO0323", "The login isn't a member of an owner"),
    ("CO0324", "The login lacks rights on a database"),
    ("CO0325", "A login may not replicate"),
    ("CO0326", "A right of superusers is missing"),
    ("CO0327", "Sessions of others can't be seen"),
    ("CO0328", "Sessions can't be ended"),
    ("CO0329", "A superuser owns objects"),
    ("CO0330", "Row-level security hides rows from the login"),
    ("CO0331", "A table without a usable key"),
    ("CO0332", "A listed append-only table doesn't fit"),
    ("CO0333", "An append-only table was changed"),
    ("CO0334", "Generated columns"),
    ("CO0335", "Unlogged tables"),
    ("CO0336", "Deferrable unique constraints"),
    ("CO0337", "Large objects"),
    ("CO0338", "Foreign tables"),
    ("CO0339", "Columns that hold object numbers"),
    ("CO0340", "Invalid indexes"),
    ("CO0341", "Tablespaces"),
    ("CO0342", "A sequence is near its end"),
    ("CO0343", "Sequences can't be read yet"),
    ("CO0344", "Triggers that fire on replicated rows"),
    ("CO0345", "Materialized views"),
    ("CO0346", "Event triggers"),
    ("CO0347", "Functions that run as a superuser"),
    ("CO0348", "Objects that only a superuser can create"),
    ("CO0349", "A library isn't preloaded on the target"),
    ("CO0350", "An extension or language is missing"),
    ("CO0351", "An extension's version or schema differs"),
    ("CO0352", "Writers from outside"),
    ("CO0353", "Prepared transactions"),
    ("CO0354", "Long transactions"),
    ("CO0355", "Other consumers of the source"),
    ("CO0356", "An inactive slot holds back WAL"),
    ("CO0357", "Publications"),
    ("CO0358", "Subscriptions"),
    ("CO0359", "pglogical is already in use"),
    ("CO0360", "State of another migration"),
    ("CO0361", "Superusers are connected"),
    ("CO0362", "A database is missing"),
    ("CO0363", "A database of the target isn't empty"),
    ("CO0364", "Encoding or collation differs"),
    ("CO0365", "Collation versions differ"),
    ("CO0366", "Roles of the target will be closed"),
    ("CO0367", "Applications are connected to the target"),
    ("CO0368", "Databases that stay behind"),
    ("CO0369", "The spec names an unknown role"),
    ("CO0370", "Whether the servers reach each other isn't known yet"),
    ("CO0371", "A pooler's console can't be entered"),
    ("CO0372", "A pooler in session mode"),
    ("CO0373", "A pooler's version or settings"),
    ("CO0374", "A pooler's databases file can't be written"),
    ("CO0375", "A pooler doesn't serve the databases"),
    ("CO0376", "A pooler doesn't lead to the source"),
    ("CO0377", "A pooler doesn't verify the server"),
    ("CO0378", "No pooler"),
    ("CO0379", "An owner lacks rights on its table"),
    ("CO0380", "The server's log may get passwords"),
    ("CO0381", "An extension's own rows stay behind"),
    ("CO0382", "The servers don't reach each other"),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_page_and_its_rule() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let mut rules = String::new();
        for folder in ["workflows/domain/src/preflight", "workers/postgres/src/preflight"] {
            for entry in std::fs::read_dir(format!("{root}/{folder}")).unwrap() {
                let path = entry.unwrap().path();
                if path.file_name().is_some_and(|n| n != "codes.rs" && n != "testing.rs") && path.is_file() {
                    rules.push_str(&std::fs::read_to_string(path).unwrap());
                }
            }
        }
        for (code, title) in CODES {
            let page = std::fs::read_to_string(format!("{root}/docs/errors/{code}.md")).unwrap_or_default();
            assert!(page.starts_with(&format!("# {code}: {title}\n")), "{code} has no page, or another title");
            for section in ["## What happened", "## What Changeover did", "## What to do", "## How to check"] {
                assert!(page.contains(section), "{code} lacks `{section}`");
            }
            assert!(rules.contains(&format!("\"{code}\"")), "{code} is used by no rule");
        }
    }

    #[test]
    fn codes_are_in_order_and_unique() {
        assert!(CODES.windows(2).all(|w| w[0].0 < w[1].0));
    }
}
