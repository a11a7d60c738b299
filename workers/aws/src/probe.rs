//! Whether a server takes connections, asked without a login: for measuring how long a reboot keeps users away.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long after one question the next one follows.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest time that a server was away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blip {
    /// Between the last answer before and the first after, the longest of all gaps.
    pub longest: Duration,
    /// How often it didn't answer.
    pub misses: u32,
}

/// Asks again and again until `done`, and measures the longest gap between two answers.
pub async fn measure(host: &str, port: u16, done: impl Future<Output = ()>) -> Blip {
    let mut blip = Blip::default();
    let mut last = Instant::now();
    tokio::pin!(done);
    loop {
        if takes_connections(host, port).await {
            let now = Instant::now();
            if blip.misses > 0 {
                blip.longest = blip.longest.max(now - last);
            }
            last = now;
        } else {
            blip.misses += 1;
            blip.longest = blip.longest.max(last.elapsed());
        }
        tokio::select! {
            () = &mut done => return blip,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Whether the server would let somebody log in. It is asked for the login of a role that there needn't be: asking for the password, or
/// refusing the role, are both answers of a server that serves
/// (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP>).
pub async fn takes_connections(host: &str, port: u16) -> bool {
    matches!(timeout(PATIENCE, answer(host, port)).await, Ok(Ok(true)))
}

async fn answer(host: &str, port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect((host, port)).await?;
    stream.write_all(&startup()).await?;
    let mut head = [0; 5];
    stream.read_exact(&mut head).await?;
    if head[0] == b'R' {
        return Ok(true);
    }
    let mut body = vec![0; 512];
    let read = stream.read(&mut body).await?;
    Ok(head[0] == b'E' && serves(&body[..read]))
}

/// An error other than "the database system is starting up" and its like.
fn serves(fields: &[u8]) -> bool {
    let code = fields.split(|byte| *byte == 0).find(|field| field.first() == Some(&b'C'));
    code.is_some_and(|code| !code.starts_with(b"C57P") && !code.starts_with(b"C53300"))
}

/// A startup message of protocol 3.0.
fn startup() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0changeover_probe\0database\0postgres\0application_name\0changeover/probe\0\0";
    let mut message = u32::try_from(body.len() + 4).unwrap_or_default().to_be_bytes().to_vec();
    message.extend_from_slice(body);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_an_answer_and_a_start_is_not() {
        assert!(serves(b"SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry\0"));
        assert!(!serves(b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0"));
        assert!(!serves(b"SFATAL\0VFATAL\0C57P01\0"));
        assert!(!serves(b""));
    }

    #[tokio::test]
    async fn nobody_is_no_answer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(!takes_connections("127.0.0.1", port).await);
        let blip = measure("127.0.0.1", port, async {}).await;
        assert_eq!(blip.misses, 1);
    }
}
