//! The binary from outside, as far as it goes without servers.

#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// Runs the binary without a terminal, without colours, and with a Temporal that isn't there.
fn changeover(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_changeover"))
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/nonexistent")
        // The discard port: nothing listens there.
        .env("TEMPORAL_ADDRESS", "127.0.0.1:9")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn usage_errors_end_with_2() {
    for arguments in
        [&[][..], &["frobnicate"], &["status", "--until", "nowhere"], &["approve", "shop"], &["explain", "CO9999"]]
    {
        let output = changeover(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}: {}", err(&output));
        assert_eq!(out(&output), "", "{arguments:?}");
    }
}

#[test]
fn all_mistakes_of_a_spec_are_shown_with_lines_and_nothing_else_happens() {
    let directory = tempfile::tempdir().unwrap();
    let spec = directory.path().join("spec.toml");
    std::fs::write(&spec, "name = \"Shop\"\nenginne = \"auto\"\n[source]\npassword = \"hunter2\"\n").unwrap();
    for verb in ["preflight", "plan", "start"] {
        let output = changeover(&[verb, spec.to_str().unwrap()]);
        let text = err(&output);
        assert_eq!(code(&output), 3, "{text}");
        for part in
            ["line 1: ", "[CO0101]", "line 2: ", "did you mean `engine`?", "line 4: ", "[CO0105]", "[[databases]]"]
        {
            assert!(text.contains(part), "no {part} in {text}");
        }
        assert!(!text.contains("hunter2"));
        assert_eq!(out(&output), "");
    }
    let output = changeover(&["start", spec.to_str().unwrap(), "--json"]);
    let error: serde_json::Value = serde_json::from_str(&err(&output)).unwrap();
    assert_eq!(error["error"]["mistakes"][0]["line"], 1);
    assert_eq!(code(&changeover(&["plan", "/nonexistent"])), 1);
}

#[test]
fn without_a_terminal_and_without_yes_traffic_is_not_moved() {
    for verb in ["cutover", "rollback", "finalize"] {
        let output = changeover(&[verb, "shop"]);
        assert_eq!(code(&output), 2, "{}", err(&output));
        assert!(err(&output).contains("[CO0906]") && err(&output).contains("--yes"), "{}", err(&output));
    }
    // With --yes it gets as far as Temporal.
    let output = changeover(&["cutover", "shop", "--yes"]);
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("CO0901"), "{}", err(&output));
}

#[test]
fn a_temporal_out_of_reach_is_named() {
    for arguments in [&["status", "shop"][..], &["list"], &["history", "shop"], &["worker"]] {
        let output = changeover(arguments);
        assert_eq!(code(&output), 1, "{arguments:?}");
        assert!(err(&output).contains("127.0.0.1:9") && err(&output).contains("CO0901"), "{}", err(&output));
    }
}

#[test]
fn init_writes_a_spec_that_is_understood_and_never_over_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("spec.toml");
    let path = file.to_str().unwrap();
    assert_eq!(code(&changeover(&["init", path])), 0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(out(&changeover(&["init"])), text);
    assert!(changeover_domain::spec::parse(&text).is_ok());
    let again = changeover(&["init", path]);
    assert_eq!(code(&again), 1);
    assert!(err(&again).contains("CO0912"));
    let schema: serde_json::Value = serde_json::from_str(&out(&changeover(&["init", "--schema"]))).unwrap();
    assert_eq!(schema["title"], "Changeover spec");
}

#[test]
fn codes_are_explained() {
    let output = changeover(&["explain", "co0105"]);
    assert_eq!(code(&output), 0);
    assert!(out(&output).starts_with("# CO0105: "));
    let all: serde_json::Value = serde_json::from_str(&out(&changeover(&["explain", "--json"]))).unwrap();
    assert!(all.as_array().unwrap().iter().any(|page| page["code"] == "CO0901"));
}

#[test]
fn a_policy_is_as_narrow_as_what_is_told() {
    let policy = |arguments: &[&str]| -> String { out(&changeover(&[&["iam-policy"], arguments].concat())) };
    let wide = policy(&["source"]);
    let json: serde_json::Value = serde_json::from_str(&wide).unwrap();
    assert_eq!(json["Version"], "2012-10-17");
    assert!(wide.contains("\"rds:ModifyDBSnapshotAttribute\"") && !wide.contains("\"rds:*\""), "{wide}");
    let known = ["--account", "111111111111", "--region", "eu-central-1", "--migration", "shop"];
    let narrow = policy(&[&["source", "--source-instance", "orders"], &known[..]].concat());
    assert!(narrow.contains("arn:aws:rds:eu-central-1:111111111111:db:orders"), "{narrow}");
    assert_ne!(policy(&["target"]), wide);
    let told = err(&changeover(&["iam-policy", "source"]));
    assert!(told.contains("every instance of the account: --source-instance narrows it"), "{told}");
    for (side, flags) in [
        (
            "source",
            &["--migration", "--region", "--account", "--source-group", "--without-snapshot", "--network-is-joined"][..],
        ),
        ("target", &["--subnet-group", "--other-account"][..]),
        ("target", &["--key"][..]),
    ] {
        let told = err(&changeover(&["iam-policy", side, "--key-is-given"]));
        for flag in flags {
            assert!(told.contains(&format!("{flag} narrows it")), "{side}: no {flag} in {told}");
        }
    }
    let china = policy(&["target", "--region", "cn-north-1", "--key", "alias/theirs"]);
    assert!(china.contains("\"arn:aws-cn:rds:cn-north-1:") && !china.contains("\"arn:aws:"), "{china}");
    assert!(china.contains("rds.cn-north-1.amazonaws.com.cn") && china.contains("kms:ResourceAliases"), "{china}");
    for wrong in [["--account", "12"], ["--migration", "No Name"]] {
        assert_eq!(code(&changeover(&[&["iam-policy", "target"], &wrong[..]].concat())), 2, "{wrong:?}");
    }
}

#[test]
fn a_policy_of_a_spec_is_for_what_stands_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spec.toml");
    let text = changeover_domain::spec::render::init_text();
    let by_hand = text.split("# [aws.source]").next().unwrap();
    let target = by_hand.split("[target]").nth(1).unwrap().split("[[databases]]").next().unwrap();
    let aws = "[aws.source]\nregion = \"eu-central-1\"\naccount = \"111111111111\"\ninstance = \"orders\"\n\
               [aws.target]\nregion = \"eu-west-1\"\naccount = \"222222222222\"\nsubnet_group = \"net\"\n\
               security_groups = [\"sg-1\"]\nkms_key = \"arn:aws:kms:eu-west-1:222222222222:key/1\"\n";
    std::fs::write(&path, by_hand.replace(target, "\n") + aws).unwrap();
    let spec = path.to_str().unwrap();
    let output = changeover(&["iam-policy", "target", "--spec", spec]);
    let printed = out(&output);
    assert_eq!(err(&output), "", "{printed}");
    for part in ["eu-west-1:222222222222:subgrp:net", "arn:aws:kms:eu-west-1:222222222222:key/1", "\"kms:CreateGrant\""]
    {
        assert!(printed.contains(part), "{part} isn't in {printed}");
    }
    for part in
        ["kms:CreateKey", "kms:TagResource", "key/*", "CopyDBSnapshot", "CreateVpcPeeringConnection", "PassRole"]
    {
        assert!(!printed.contains(part), "{part} is in {printed}");
    }
    let told = err(&changeover(&["iam-policy", "source", "--spec", spec]));
    assert!(told.contains("--source-group narrows it") && !told.contains("--source-instance"), "{told}");
    assert!(
        out(&changeover(&["iam-policy", "source", "--spec", spec, "--account", "333333333333"]))
            .contains(":333333333333:db:orders")
    );
    std::fs::write(&path, by_hand).unwrap();
    let output = changeover(&["iam-policy", "source", "--spec", spec]);
    assert!(code(&output) != 0 && err(&output).contains("CO0104"), "{}", err(&output));
}

#[test]
fn doctor_says_what_is_wrong_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let spec = directory.path().join("spec.toml");
    std::fs::write(&spec, changeover_domain::spec::render::init_text()).unwrap();
    let output = changeover(&["doctor", spec.to_str().unwrap(), "--json"]);
    assert_eq!(code(&output), 1);
    let checks: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    let failed: Vec<&str> =
        checks.as_array().unwrap().iter().filter(|c| c["ok"] == false).map(|c| c["what"].as_str().unwrap()).collect();
    for what in ["Temporal", "source.password", "target.ca_file", "pgbouncer pooler.example.com:6432 databases_file"] {
        assert!(failed.contains(&what), "{what} isn't among {failed:?}");
    }
}

#[test]
fn completions_are_written() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(out(&changeover(&["completions", shell])).contains("changeover"));
    }
}

#[test]
fn the_documentation_names_every_verb_and_exit_code() {
    let docs = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md")).unwrap();
    let help = out(&changeover(&["--help"]));
    let verbs = help.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
    for verb in verbs.filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "help") {
        assert!(docs.contains(&format!("`changeover {verb}")), "docs/cli.md doesn't describe {verb}");
    }
    for code in ["| 0 |", "| 1 |", "| 2 |", "| 3 |", "| 4 |", "| 5 |", "| 6 |", "| 130 |"] {
        assert!(docs.contains(code), "docs/cli.md lacks exit code {code}");
    }
}
