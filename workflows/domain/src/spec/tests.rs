use rstest::rstest;

use super::{
    fields::{Need, SECTIONS},
    parse, render,
};
use crate::proto::{SecretRef, Stored, secret_ref::From};

/// The smallest spec there is.
const SMALL: &str = r#"name = "shop"
[source]
host = "old"
user = "changeover"
password = { env = "S" }
ca_file = "/ca"
[target]
host = "new"
user = "changeover"
password = { file = "/run/t" }
ca_file = "/ca"
[[databases]]
name = "shop"
[replication]
user = "repl"
password = { env = "R" }
server_ca_file = "/ca"
[[traffic.pgbouncer]]
host = "pooler"
user = "admin"
password = { env = "P" }
ca_file = "/ca"
databases_file = "/etc/d.ini"
"#;

/// (line, key, code) of every mistake.
fn mistakes(text: &str) -> Vec<(usize, String, String)> {
    parse(text).unwrap_err().into_iter().map(|e| (e.line, e.key, e.code)).collect()
}

/// The same without lines.
fn codes(text: &str) -> Vec<String> {
    mistakes(text).into_iter().map(|(_, key, code)| format!("{code} {key}")).collect()
}

fn mistake(line: usize, key: &str, code: &str) -> (usize, String, String) {
    (line, key.to_owned(), code.to_owned())
}

#[test]
fn the_smallest_spec_has_all_defaults() {
    let spec = parse(SMALL).unwrap();
    assert_eq!((spec.engine.as_str(), spec.fence.as_str()), ("auto", "auto"));
    let source = spec.source.unwrap();
    assert_eq!((source.port, source.peer_port, source.peer_host.as_str()), (5432, 5432, "old"));
    assert_eq!(source.maintenance_database, "postgres");
    assert_eq!(source.password, Some(SecretRef { from: Some(From::Env("S".into())) }));
    assert_eq!(spec.target.unwrap().password, Some(SecretRef { from: Some(From::File("/run/t".into())) }));
    let budgets = spec.budgets.unwrap();
    assert_eq!((budgets.fence_lock_ms, budgets.drain_ms, budgets.switch_attempts), (300, 2000, 10));
    assert_eq!((budgets.switch_backoff_ms, budgets.sequence_margin), (2000, 10_000));
    assert_eq!(budgets.max_retained_wal_bytes, 10_000_000_000);
    let gates = spec.gates.unwrap();
    assert_eq!((gates.max_lag_bytes, gates.max_transaction_age_ms, gates.max_canary_age_ms), (1_000_000, 500, 5000));
    assert_eq!(gates.max_verification_age_ms, 86_400_000);
    let verification = spec.verification.unwrap();
    assert_eq!((verification.chunk_ms, verification.chunk_rows), (200, 20_000));
    let soak = spec.soak.unwrap();
    assert_eq!((soak.duration_ms, soak.poll_ms), (3_600_000, 10_000));
    assert_eq!(spec.replication.unwrap().poll_ms, 5000);
    assert_eq!(spec.traffic.unwrap().poolers[0].port, 6432);
}

#[test]
fn everything_can_be_written() {
    let text = SMALL.replace("[replication]", "insert_only_tables = [\"audit.log\"]\n[replication]")
        + "[roles]\nkeep_login = [\"dd\"]\npasswords = { app = { env = \"A\" } }\n[roles.passwords.\"Ünal\"]\nfile = \"/x\"\n";
    // A table and its own header are two definitions of one thing: TOML itself refuses that.
    assert_eq!(mistakes(&text)[0].2, "CO0100");
    let text = text.replace("passwords = { app = { env = \"A\" } }\n", "");
    let spec = parse(&text).unwrap();
    assert_eq!(spec.databases[0].insert_only_tables, ["audit.log"]);
    let roles = spec.roles.unwrap();
    assert_eq!(roles.keep_login, ["dd"]);
    assert_eq!(roles.passwords[0].role, "Ünal");
}

#[test]
fn all_mistakes_come_at_once_in_order() {
    let text = SMALL
        .replace("name = \"shop\"\n[source]", "name = \"Shop\"\nenginne = \"auto\"\n[source]\nport = \"5432\"")
        .replace("user = \"repl\"\n", "")
        .replace("password = { env = \"P\" }", "password = \"hunter2\"")
        + "[soak]\nduration = \"1x\"\n";
    let found = mistakes(&text);
    let wanted = [
        mistake(1, "name", "CO0101"),
        mistake(2, "enginne", "CO0102"),
        mistake(4, "source.port", "CO0103"),
        mistake(16, "replication.user", "CO0104"),
        mistake(22, "traffic.pgbouncer[0].password", "CO0105"),
        mistake(26, "soak.duration", "CO0101"),
    ];
    assert_eq!(found, wanted);
}

#[rstest]
#[case::misspelt("hsot = 1", "did you mean `host`?")]
#[case::misplaced("max_lag = 1", "it belongs to [gates]")]
#[case::nowhere("colour = 1", "remove it; docs/spec.md lists all keys")]
fn an_unknown_key_is_answered_with_a_guess(#[case] line: &str, #[case] remedy: &str) {
    let errors = parse(&SMALL.replace("[target]", &format!("{line}\n[target]"))).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].remedy, remedy);
}

#[rstest]
#[case::misspelt_section("[gate]\nmax_lag = \"1MB\"", "gate", "CO0102")]
#[case::unknown_traffic("[traffic.haproxy]\nx = 1", "traffic.haproxy", "CO0102")]
#[case::section_as_text("gates = 3", "roles.gates", "CO0102")]
#[case::lock_too_long("[budgets]\nfence_lock = \"1s\"", "budgets.fence_lock", "CO0108")]
#[case::poll_longer_than_soak("[soak]\nduration = \"5s\"\npoll = \"10s\"", "soak.poll", "CO0108")]
#[case::no_unit("[soak]\nduration = \"5\"", "soak.duration", "CO0101")]
#[case::negative("[budgets]\nswitch_attempts = -1", "budgets.switch_attempts", "CO0101")]
#[case::zero_size("[gates]\nmax_lag = \"0MB\"", "gates.max_lag", "CO0101")]
#[case::bare_size("[gates]\nmax_lag = \"64\"", "gates.max_lag", "CO0101")]
#[case::database_twice("[[databases]]\nname = \"shop\"", "databases[1].name", "CO0106")]
#[case::reserved("[[databases]]\nname = \"rdsadmin\"", "databases[1].name", "CO0101")]
#[case::table_without_schema(
    "[[databases]]\nname = \"b\"\ninsert_only_tables = [\"log\"]",
    "databases[1].insert_only_tables",
    "CO0101"
)]
#[case::two_references("[roles.passwords.x]\nenv = \"A\"\nfile = \"/b\"", "roles.passwords", "CO0101")]
#[case::value_for_variable("[roles.passwords.x]\nenv = \"s3cret!\"", "roles.passwords", "CO0101")]
#[case::clear_role_password("[roles.passwords]\nx = \"s3cret\"", "roles.passwords", "CO0105")]
fn one_mistake_is_one_error(#[case] tail: &str, #[case] key: &str, #[case] code: &str) {
    let text = if tail.starts_with("gates") { format!("{SMALL}[roles]\n{tail}\n") } else { format!("{SMALL}{tail}\n") };
    let errors = parse(&text).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!((errors[0].key.as_str(), errors[0].code.as_str()), (key, code), "{errors:?}");
    assert!(!errors[0].remedy.is_empty());
}

#[rstest]
#[case("[source]")]
#[case("[[databases]]")]
#[case("[replication]")]
fn a_missing_section_is_named(#[case] header: &str) {
    // Parts start with their headers; the first one holds the keys at the top.
    let parts = SMALL.replace("\n[", "\n\0[");
    let kept: String = parts.split('\0').filter(|part| !part.starts_with(header)).collect();
    let errors = parse(&kept).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].code, "CO0104");
    assert!(errors[0].message.contains(header), "{errors:?}");
}

#[test]
fn a_spec_without_a_pooler_is_understood() {
    let kept = SMALL.split("[[traffic").next().unwrap();
    assert_eq!(parse(kept).unwrap().traffic.unwrap().poolers.len(), 0);
    let errors = parse(&format!("{kept}[[traffic.pgbouncer]]\n")).unwrap_err();
    assert!(errors.iter().any(|e| e.key == "traffic.pgbouncer[0].host"), "{errors:?}");
}

#[test]
fn a_missing_name_is_named() {
    let text = SMALL.replacen("name = \"shop\"\n", "", 1);
    assert_eq!(mistakes(&text), [mistake(1, "name", "CO0104")]);
}

#[test]
fn source_and_target_differ() {
    assert_eq!(mistakes(&SMALL.replace("\"new\"", "\"OLD\"")), [mistake(8, "target.host", "CO0107")]);
    assert!(parse(&SMALL.replace("host = \"new\"", "host = \"old\"\nport = 5433")).is_ok());
}

#[test]
fn a_connection_string_is_refused_without_being_quoted() {
    let errors = parse(&SMALL.replace("\"old\"", "\"postgres://a:hunter2@old/x\"")).unwrap_err();
    assert_eq!(errors[0].code, "CO0101");
    assert!(!format!("{errors:?}").contains("hunter2"));
}

#[rstest]
#[case("password = \"hunter2\"")]
#[case("password = { env = \"hunter2!\" }")]
#[case("password = { value = \"hunter2\" }")]
#[case("password = { env = \"A\", file = \"hunter2\" }")]
#[case("password = { secret = \"hunter2\" }")]
#[case("password = { parameter = \"hunter2\", field = \"password\" }")]
#[case("password = { env = \"A\", field = \"hunter2\" }")]
#[case("password = { field = \"hunter2\" }")]
#[case("password = [\"hunter2\"]")]
#[case("password = hunter2")]
#[case("password = \"hunter2")]
fn a_password_is_never_quoted(#[case] line: &str) {
    let errors = parse(&SMALL.replace("password = { env = \"S\" }", line)).unwrap_err();
    assert!(!serde_json::to_string(&errors).unwrap().contains("hunter2"), "{errors:?}");
}

#[test]
fn broken_toml_is_said_with_its_line_and_nothing_else_is_guessed() {
    let errors = parse("name = \"shop\"\n[source\nhost = ").unwrap_err();
    assert!(errors.iter().any(|e| e.code == "CO0100" && e.line == 2), "{errors:?}");
    assert!(errors.iter().all(|e| !e.message.contains("section")), "{errors:?}");
}

#[test]
fn every_default_and_example_of_the_table_can_be_read() {
    for section in SECTIONS {
        for field in section.fields {
            assert!(super::read::default_value(field, field.example).is_some(), "{}.{}", section.path, field.key);
            if let Need::Default(text) = field.need {
                assert!(super::read::default_value(field, text).is_some(), "{}.{}", section.path, field.key);
            }
            assert!(field.doc.ends_with('.'), "{}.{}", section.path, field.key);
        }
    }
}

#[test]
fn the_commented_file_is_a_spec_with_and_without_its_comments() {
    let text = render::init_text();
    let spec = parse(&text).unwrap();
    let key_line =
        |line: &str| SECTIONS.iter().flat_map(|s| s.fields).any(|f| line.starts_with(&format!("# {} = ", f.key)));
    // An AWS half answers for what the rest gives by hand.
    let by_hand = text.split("# [aws.source]").next().unwrap();
    let full: String =
        by_hand.lines().map(|l| if key_line(l) { format!("{}\n", &l[2..]) } else { format!("{l}\n") }).collect();
    let written = parse(&full).unwrap();
    assert_eq!(spec.budgets, written.budgets);
    assert_eq!(written.roles.unwrap().passwords.len(), 1);
}

/// The smallest one whose target is made.
fn made() -> String {
    let target = "[target]\nhost = \"new\"\nuser = \"changeover\"\npassword = { file = \"/run/t\" }\n";
    let text = SMALL.replace(target, "[target]\n").replace("host = \"old\"\n", "");
    text + "[aws.source]\nregion = \"eu-central-1\"\naccount = \"111111111111\"\ninstance = \"orders\"\n\
            [aws.target]\nregion = \"eu-west-1\"\naccount = \"222222222222\"\nsubnet_group = \"net\"\n\
            security_groups = [\"sg-1\"]\n"
}

#[test]
fn a_target_that_is_made_needs_no_address_and_no_login() {
    let spec = parse(&made()).unwrap();
    let aws = spec.aws.unwrap();
    assert_eq!((aws.instance.as_str(), aws.failover, aws.publish.as_str()), ("orders", false, ""));
    assert_eq!(aws.target.unwrap().region, "eu-west-1");
    assert_eq!(aws.made.unwrap().security_groups, ["sg-1"]);
    assert_eq!(aws.end, Some(crate::proto::AwsEnd::default()));
    let target = spec.target.unwrap();
    assert_eq!((target.host.as_str(), target.password, target.ca_file.as_str()), ("", None, "/ca"));
    let end = "[aws.publish]\nparameter = \"/p\"\n[aws.end]\nfinal_snapshot = true\ndelete = true\n";
    let aws = parse(&(made() + end)).unwrap().aws.unwrap();
    assert_eq!((aws.publish.as_str(), aws.end.unwrap().delete), ("/p", true));
    let unnamed = made().replacen("ca_file = \"/ca\"\n", "", 2);
    assert_eq!(parse(&unnamed).unwrap().source.unwrap().ca_file, "");
    assert!(!aws.join_networks && !aws.end.unwrap().part_networks);
    let joined = "[aws.network]\njoin = true\n[aws.end]\npart_networks = true\n";
    let aws = parse(&(made() + joined)).unwrap().aws.unwrap();
    assert!(aws.join_networks && aws.end.unwrap().part_networks);
    assert!(parse(SMALL).unwrap().aws.is_none());
}

#[test]
fn an_aws_half_is_whole_and_says_nothing_twice() {
    let half = made().split("[aws.target]").next().unwrap().to_owned();
    assert_eq!(codes(&half), ["CO0104 aws.target"]);
    assert_eq!(
        codes(&(SMALL.to_owned() + "[aws.publish]\nparameter = \"/p\"\n")),
        ["CO0104 aws.source", "CO0104 aws.target"]
    );
    assert_eq!(codes(&made().replace("[target]", "[target]\nhost = \"new\"")), ["CO0108 target.host"]);
    assert_eq!(codes(&made().replace("222222222222", "2222")), ["CO0101 aws.target.account"]);
    assert_eq!(codes(&made().replace("subnet_group = \"net\"\n", "")), ["CO0104 aws.target.subnet_group"]);
    assert_eq!(codes(&(made() + "[aws.end]\ndelete = true\n")), ["CO0108 aws.end.delete"]);
    assert_eq!(
        codes(&(made() + "[aws.end]\nstop = true\ndelete = true\nfinal_snapshot = true\n")),
        ["CO0108 aws.end.delete"]
    );
    let users = |more: &str| {
        codes(&made().replace("subnet_group", &format!("key_users = [\"333333333333\"{more}\nsubnet_group")))
    };
    assert_eq!(users(", \"3\"]"), ["CO0101 aws.target.key_users"]);
    assert_eq!(users("]\nkms_key = \"alias/k\""), ["CO0108 aws.target.key_users"]);
    let hook = |rest: &str| codes(&(made() + "[aws.publish]\nparameter = \"/p\"\n" + rest));
    let token = "webhook_token = { env = \"T\" }\n";
    assert_eq!(hook(token), ["CO0108 aws.publish.webhook_token"]);
    for good in ["https://d.example.com/x?y", "http://127.0.0.1:8080/x", "http://[::1]/", "http://localhost"] {
        let text = made() + &format!("[aws.publish]\nparameter = \"/p\"\nwebhook = \"{good}\"\n{token}");
        assert_eq!(parse(&text).unwrap().aws.unwrap().webhook, good);
    }
    let bad = ["http://d.example.com", "http://127.0.0.1.example.com", "https://a:b@d.example.com", "d", "https:///x"];
    for bad in bad.into_iter().chain(["http://localhost@d.example.com", "ftp://127.0.0.1"]) {
        assert_eq!(hook(&format!("webhook = \"{bad}\"\n")), ["CO0101 aws.publish.webhook"], "{bad}");
    }
    assert_eq!(hook("webhook = \"https://d\"\ndeploy = \"/d\"\n"), ["CO0108 aws.publish.webhook"]);
    assert_eq!(codes(&(made() + "[aws.end]\npart_networks = true\n")), ["CO0108 aws.end.part_networks"]);
    assert_eq!(codes(&SMALL.replace("host = \"new\"\n", "")), ["CO0104 target.host"]);
}

const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:orders/app-AbC123";
const PARAMETER: &str = "arn:aws:ssm:eu-west-1:222222222222:parameter/orders/report";

#[test]
fn secrets_may_be_in_either_account() {
    let roles = format!(
        "[roles.passwords]\napp = {{ secret = \"{SECRET}\", field = \"pw\" }}\nreport = {{ parameter = \"{PARAMETER}\" }}\n"
    );
    let spec = parse(&(made() + &roles)).unwrap();
    let stored = |arn: &str, field: &str| Stored { arn: arn.into(), field: field.into() };
    let given: Vec<_> = spec.roles.unwrap().passwords.into_iter().map(|given| given.password.unwrap().from).collect();
    assert_eq!(given, [Some(From::Stored(stored(SECRET, "pw"))), Some(From::Stored(stored(PARAMETER, "")))]);

    assert_eq!(codes(&(SMALL.to_owned() + &roles)), ["CO0108 roles.passwords", "CO0108 roles.passwords"]);
    let elsewhere = roles.replace("eu-central-1:1", "eu-west-1:1");
    assert_eq!(codes(&(made() + &elsewhere)), ["CO0108 roles.passwords"]);
    let third = roles.replace("222222222222", "333333333333");
    assert_eq!(codes(&(made() + &third)), ["CO0108 roles.passwords"]);
    assert_eq!(codes(&(made() + &roles.replace("field", "feild"))), ["CO0102 roles.passwords"]);
    for (arn, wrong) in [(SECRET, "orders/app"), (SECRET, PARAMETER), (PARAMETER, "/orders/report")] {
        assert_eq!(codes(&(made() + &roles.replace(arn, wrong))), ["CO0101 roles.passwords"], "{wrong}");
    }
}

#[test]
fn applications_secrets_need_roles_and_names_that_can_be_had() {
    let with = |prefix: &str, roles: &str| {
        let kept = format!("role_secrets = \"{prefix}\"\nsubnet_group");
        made().replace("subnet_group", &kept) + "[roles.passwords]\n" + roles
    };
    let app = "app = { env = \"A\" }\n";
    assert_eq!(parse(&with("orders/roles", app)).unwrap().aws.unwrap().made.unwrap().role_secrets, "orders/roles");
    let key = "aws.target.role_secrets";
    assert_eq!(codes(&with("orders", "")), [format!("CO0108 {key}")]);
    for (prefix, roles) in [
        ("or ders", app),
        ("/", app),
        ("changeover/shop", app),
        ("changeover", app),
        ("orders", "\"a b\" = { env = \"A\" }\n"),
    ] {
        assert_eq!(codes(&with(prefix, roles)), [format!("CO0101 {key}")], "{prefix}");
    }
}

#[test]
fn the_schema_knows_every_key() {
    let schema: serde_json::Value = serde_json::from_str(&render::json_schema()).unwrap();
    for section in SECTIONS {
        let mut at = &schema;
        for part in section.path.split('.').filter(|p| !p.is_empty()) {
            at = &at["properties"][part];
        }
        if section.repeated {
            at = &at["items"];
        }
        for field in section.fields {
            assert!(at["properties"][field.key].is_object(), "{}.{}", section.path, field.key);
        }
    }
}
