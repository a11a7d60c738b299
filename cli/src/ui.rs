//! Where words go, and how they look there.

use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::{exit::Exit, problem::Problem};

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    fn with(self, style: Style, text: &str) -> String {
        if self.0 { format!("{}{text}{}", style.render(), style.render_reset()) } else { text.to_owned() }
    }
    pub(crate) fn good(self, text: &str) -> String {
        self.with(AnsiColor::Green.on_default(), text)
    }
    pub(crate) fn bad(self, text: &str) -> String {
        self.with(AnsiColor::Red.on_default().bold(), text)
    }
    pub(crate) fn warn(self, text: &str) -> String {
        self.with(AnsiColor::Yellow.on_default(), text)
    }
    pub(crate) fn now(self, text: &str) -> String {
        self.with(AnsiColor::Cyan.on_default(), text)
    }
    pub(crate) fn strong(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }
    pub(crate) fn faint(self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }
}

/// The terminal as one command sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ui {
    /// `--json` was given.
    pub(crate) json: bool,
    /// Colours of stdout; NO_COLOR and pipes turn them off.
    pub(crate) out: Paint,
    err: Paint,
}

impl Ui {
    pub(crate) fn new(json: bool) -> Self {
        let out = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
        let err = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
        Self { json, out: Paint(out && !json), err: Paint(err && !json) }
    }
    /// Bars can be drawn.
    pub(crate) fn draws(&self) -> bool {
        !self.json && io::stderr().is_terminal()
    }
    /// Somebody can be asked.
    pub(crate) fn asks(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }
    /// Data.
    pub(crate) fn print(&self, text: &str) {
        let mut out = io::stdout().lock();
        let ended = text.ends_with('\n');
        let written = out.write_all(text.as_bytes()).and_then(|()| if ended { Ok(()) } else { out.write_all(b"\n") });
        if written.and_then(|()| out.flush()).is_err() {
            // The reader has gone (`| head`): nobody is left to tell.
            std::process::exit(Exit::Done as i32);
        }
    }
    /// Data as JSON: on several lines.
    pub(crate) fn print_json(&self, value: &impl Serialize) -> Result<(), Problem> {
        let text = serde_json::to_string_pretty(value).map_err(|e| unprintable(&e))?;
        self.print(&text);
        Ok(())
    }
    /// Data as JSON: on one line.
    pub(crate) fn print_json_line(&self, value: &impl Serialize) -> Result<(), Problem> {
        let text = serde_json::to_string(value).map_err(|e| unprintable(&e))?;
        self.print(&text);
        Ok(())
    }
    /// A word to the person.
    pub(crate) fn say(&self, text: &str) {
        // Nothing can be done about a stderr that is gone.
        let _ignored = writeln!(io::stderr(), "{text}");
    }
    pub(crate) fn hint(&self, text: &str) {
        self.say(&format!("{} {text}", self.err.now("next:")));
    }
    pub(crate) fn warn(&self, text: &str) {
        self.say(&format!("{} {text}", self.err.warn("warning:")));
    }
    /// What happened, then one line of help.
    pub(crate) fn problem(&self, problem: &Problem) {
        if self.json {
            let text = serde_json::json!({ "error": problem }).to_string();
            return self.say(&text);
        }
        self.say(&format!(
            "{} {} {}",
            self.err.bad("error:"),
            problem.message,
            self.err.faint(&format!("[{}]", problem.code))
        ));
        for mistake in &problem.mistakes {
            self.say(&format!(
                "  line {}: {} {}",
                mistake.line,
                mistake.message,
                self.err.faint(&format!("[{}]", mistake.code))
            ));
            self.say(&format!("    {} {}", self.err.now("help:"), mistake.remedy));
        }
        self.say(&format!("{} {}   (changeover explain {})", self.err.now(" help:"), problem.remedy, problem.code));
    }
}

fn unprintable(error: &serde_json::Error) -> Problem {
    Problem::new(
        "CO0900",
        format!("the answer can't be shown as JSON: {error}"),
        "report this with the command that you typed",
    )
}
