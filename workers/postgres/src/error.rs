//! From PostgreSQL's errors to failures. Only severity, message and SQLSTATE are taken over: DETAIL, CONTEXT, HINT and the
//! statement may hold rows or secrets and stay behind.

use changeover_domain::{Class, Failure, Side, failure::class_of_sqlstate};
use tokio_postgres::error::SqlState;

/// Turns an error of the driver into a failure; `what` says what was being done, `side` where.
pub fn failure(side: Side, what: &str, error: &tokio_postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(db) => {
            let state = state_of(db);
            let class = class_of_sqlstate(state.code());
            let message = format!("{what} on the {side}: {}", safe_message(&state, db.message()));
            let mut failure = Failure::new(code_of(&state), class, message, remedy_of(&state));
            failure.sqlstate = Some(db.code().code().to_owned());
            failure
        }
        None => connection_failure(side, what, error),
    }
}

/// A server whose disk is full lets nobody in whose catalog isn't cached yet, and says so without the state that is meant
/// (`write_relcache_init_file` in `src/backend/utils/cache/relcache.c`).
fn state_of(db: &tokio_postgres::error::DbError) -> SqlState {
    let full = *db.code() == SqlState::INTERNAL_ERROR && db.message() == "could not write init file";
    if full { SqlState::DISK_FULL } else { db.code().clone() }
}

/// True when the error says that the connection is gone, so that what was sent may or may not have happened.
pub fn is_connection_loss(error: &tokio_postgres::Error) -> bool {
    match error.as_db_error() {
        Some(db) => db.code().code().starts_with("08") || db.code().code().starts_with("57P"),
        None => true,
    }
}

fn connection_failure(side: Side, what: &str, error: &tokio_postgres::Error) -> Failure {
    let cause =
        std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    let tls = is_tls_refusal(&cause);
    if tls {
        let remedy = "check ca_file in the spec, and that the server's certificate carries the host's name";
        return Failure::refused("CO0203", format!("{what} on the {side}: {cause}"), remedy);
    }
    // A value that can't be read as the expected type is our mistake, not the network's.
    let class =
        if cause.contains("deserializ") || cause.contains("serializ") { Class::NeedsHuman } else { Class::Transient };
    Failure::new(
        "CO0202",
        class,
        format!("{what} on the {side}: {cause}"),
        "check that the server runs and can be reached from the worker",
    )
}

/// TLS that can't be had as it is set up; not a connection that was cut while TLS was spoken, as by a server that restarts.
fn is_tls_refusal(cause: &str) -> bool {
    let cut = ["close_notify", "eof", "end of file", "reset by peer", "broken pipe", "timed out"];
    let cause = cause.to_lowercase();
    cause.contains("certificate") || (cause.contains("tls") && !cut.iter().any(|word| cause.contains(word)))
}

/// The primary message of some errors quotes a value of the row; those are replaced.
fn safe_message(code: &SqlState, message: &str) -> String {
    let text = code.code();
    // 22xxx data exceptions ("invalid input syntax for type integer: \"…\"") and 23514/23502 may quote values.
    if text.starts_with("22") {
        return format!("data exception (its text may quote a row and is left out), SQLSTATE {text}");
    }
    // RAISE of a function or trigger of the application says whatever it likes.
    if text.starts_with("P0") {
        return format!(
            "an error of a function of the database (its text may quote a row and is left out), SQLSTATE {text}"
        );
    }
    message.to_owned()
}

fn code_of(code: &SqlState) -> &'static str {
    match code.code() {
        "28000" | "28P01" => "CO0204",
        "42501" => "CO0205",
        "53300" => "CO0206",
        "53100" => "CO0213",
        "3D000" => "CO0207",
        "55P03" | "40P01" => "CO0208",
        text if text.starts_with("08") || text.starts_with("57P") => "CO0202",
        _ => "CO0209",
    }
}

fn remedy_of(code: &SqlState) -> &'static str {
    match code.code() {
        "28000" | "28P01" => "check the user and the password that the spec refers to",
        "42501" => "grant the right that the message names; `changeover preflight` lists what is needed",
        "53300" => "free connections or raise max_connections",
        "53100" => "make room on the server's disk, or give it a larger one, then `changeover retry`",
        "3D000" => "create the database, or correct its name in the spec",
        "55P03" | "40P01" => "another session holds a lock; it is tried again",
        text if text.starts_with("08") || text.starts_with("57P") => {
            "check that the server runs and can be reached from the worker"
        }
        _ => "look at the message and the server's log, mend the cause, then `changeover retry`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("error performing TLS handshake: invalid peer certificate: UnknownIssuer", true)]
    #[case("error performing TLS handshake: server does not support TLS", true)]
    #[case("error performing TLS handshake: tls handshake eof", false)]
    #[case("error performing TLS handshake: Connection reset by peer (os error 104)", false)]
    #[case("error communicating with the server: peer closed connection without sending TLS close_notify", false)]
    #[case("connection closed", false)]
    fn only_a_setup_that_is_wrong_is_refused(#[case] cause: &str, #[case] refused: bool) {
        assert_eq!(is_tls_refusal(cause), refused);
    }
}
