//! The proxy does to connections what it is told to.
#![allow(clippy::unwrap_used)]

use changeover_tests::proxy::{Proxy, Way};
use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// A server that says back what it hears.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    port
}

async fn say(stream: &mut TcpStream) -> std::io::Result<Duration> {
    let begun = Instant::now();
    stream.write_all(b"hello").await?;
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).await?;
    assert_eq!(&heard, b"hello");
    Ok(begun.elapsed())
}

const MOMENT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn it_delays_and_falls_silent_and_heals() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    say(&mut stream).await.unwrap();
    proxy.add_round_trip(Duration::from_millis(80));
    assert!(say(&mut stream).await.unwrap() >= Duration::from_millis(80));
    proxy.add_round_trip(Duration::ZERO);

    for way in [Way::ToServer, Way::ToClient] {
        proxy.silence(way);
        assert!(timeout(MOMENT, say(&mut stream)).await.is_err(), "{way:?}");
        let mut another = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
        assert!(timeout(MOMENT, say(&mut another)).await.is_err(), "{way:?}");
        proxy.heal();
        // What was sent meanwhile arrives late, and nothing is lost.
        let mut late = [0; 5];
        timeout(MOMENT * 10, stream.read_exact(&mut late)).await.unwrap().unwrap();
        timeout(MOMENT * 10, say(&mut stream)).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn it_cuts_and_resets() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let connect = async || TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
    let mut stream = connect().await;
    say(&mut stream).await.unwrap();
    proxy.reset();
    assert_eq!(say(&mut stream).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let mut stream = connect().await;
    say(&mut stream).await.unwrap();
    proxy.cut();
    let mut nothing = [0; 1];
    assert_eq!(timeout(MOMENT * 10, stream.read(&mut nothing)).await.unwrap().unwrap(), 0);
    assert!(say(&mut connect().await).await.is_err());
    proxy.heal();
    say(&mut connect().await).await.unwrap();
}
