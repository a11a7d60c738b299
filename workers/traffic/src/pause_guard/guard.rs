//! The guard itself, in its own process.

use std::time::Duration;

use changeover_domain::Failure;
use changeover_postgres::{
    console::{Console, ConsoleAddress, ConsoleError},
    secret::Secret,
};
use futures::future::{join_all, try_join_all};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin, stdin, stdout},
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until, timeout},
};

use super::{LATE, SILENCE, Told};

/// Longest wait for one command.
const COMMAND: Duration = Duration::from_secs(1);

/// Guards one pause, and returns when the pipe from its worker is closed. The process should end then.
///
/// # Errors
/// What is told to the worker as well: a word that isn't understood, or a pooler that can't be entered.
pub async fn run() -> Result<(), Failure> {
    // Whoever stops the worker in order lets it end its switch, and the guard with it.
    let told_to_stop = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let mut lines = BufReader::new(stdin()).lines();
    let posts = match posts(&mut lines).await {
        Ok(posts) => posts,
        Err(failure) => {
            answer(&failure.to_string()).await;
            return Err(failure);
        }
    };
    answer("ready").await;
    watch(&mut lines, &posts).await;
    drop(told_to_stop);
    Ok(())
}

/// A pooler, entered before anybody is held back.
struct Post {
    address: ConsoleAddress,
    console: Console,
    commands: Vec<String>,
}

async fn posts(lines: &mut Lines<BufReader<Stdin>>) -> Result<Vec<Post>, Failure> {
    let wrong = |why: String| Failure::refused("CO0733", why, "this program is called by a worker, not by people");
    let line = lines.next_line().await.map_err(|error| wrong(error.to_string()))?;
    let told: Vec<Told> = serde_json::from_str(&line.unwrap_or_default()).map_err(|error| wrong(error.to_string()))?;
    try_join_all(told.into_iter().map(|told| async move {
        let Told { host, port, user, password, ca_file, commands } = told;
        let address = ConsoleAddress { host, port, user, password: Secret::new(password), ca_file };
        Ok(Post { console: Console::open(&address).await?, address, commands })
    }))
    .await
}

async fn watch(lines: &mut Lines<BufReader<Stdin>>, posts: &[Post]) {
    let (mut heard, mut fired) = (None::<Instant>, false);
    loop {
        let silence = async {
            match heard {
                Some(at) => sleep_until(at + SILENCE).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // What was said while this process didn't run counts.
            biased;
            line = lines.next_line() => match line.ok().flatten().as_deref() {
                Some("alive") if !fired => heard = Some(Instant::now()),
                Some("disarm") => {
                    heard = None;
                    answer(if fired { "fired" } else { "disarmed" }).await;
                }
                Some(_) => {}
                None => return end(heard, posts).await,
            },
            () = silence => {
                end(heard.take(), posts).await;
                fired = true;
            }
        }
    }
}

/// Nothing more is heard of the worker: clients go on, unless this comes so late that others may have taken over.
async fn end(heard: Option<Instant>, posts: &[Post]) {
    if heard.is_some_and(|at| at.elapsed() < LATE) {
        join_all(posts.iter().map(release)).await;
    }
}

async fn release(post: &Post) {
    for command in &post.commands {
        match timeout(COMMAND, post.console.run(command)).await {
            // A pooler that was restarted holds nobody back.
            Ok(Ok(_)) | Ok(Err(ConsoleError::Refused(_))) => {}
            Ok(Err(ConsoleError::Lost(_))) | Err(_) => again(post, command).await,
        }
    }
}

/// By another connection. Whoever comes next resumes as well, so that there's nobody to tell.
async fn again(post: &Post, command: &str) {
    if let Ok(console) = Console::open(&post.address).await {
        let _ended = timeout(COMMAND, console.run(command)).await;
    }
}

async fn answer(line: &str) {
    let mut out = stdout();
    // A worker that is gone hears nothing, and needs nothing.
    let _written = out.write_all(format!("{line}\n").as_bytes()).await;
    let _flushed = out.flush().await;
}
