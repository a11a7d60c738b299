//! A publication, told over HTTP to whoever deploys: posted with a key, awaited until it is done.
//!
//! 200, 201 or 204 say that it is done; 202 that it was taken on, and by `Location` where to ask how far it is
//! (<https://www.rfc-editor.org/rfc/rfc9110.html#name-202-accepted>). Redirects aren't followed: a token goes to nobody else.

use std::time::Duration;

use changeover_aws::error::causes;
use changeover_domain::Failure;
use changeover_postgres::secret::Secret;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Serialize;
use tokio::time::{sleep, timeout};
use url::Url;

use super::deploy::{LONGEST, said};

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(30);
/// How much of an answer is read, bytes.
const READ: usize = 65_536;
/// Between two questions how far it is, where the receiver doesn't say; and the bounds of what it may say.
const ASK: Duration = Duration::from_secs(2);
const ASK_AT_MOST_EVERY: Duration = Duration::from_secs(1);
const ASK_AT_LEAST_EVERY: Duration = Duration::from_secs(60);

/// What is posted, as JSON.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Publication<'a> {
    /// The migration's name.
    pub(super) migration: &'a str,
    /// `host:port` of the side that serves.
    pub(super) endpoint: &'a str,
    /// `source` or `target`.
    pub(super) serving: &'a str,
    /// The parameter that says so.
    pub(super) parameter: &'a str,
    /// Its version.
    pub(super) version: i64,
    /// The same whenever this publication is told again.
    pub(super) key: &'a str,
}

/// Where to, and as whom.
pub(super) struct Webhook {
    url: Url,
    token: Option<Secret>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// An answer that was read to its end.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    line: String,
}

impl Answer {
    fn is_done(&self) -> bool {
        matches!(self.status, StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT)
    }
    /// Whether the receiver may answer otherwise in a moment.
    fn passes(&self) -> bool {
        self.status.is_server_error()
            || matches!(self.status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
    }
    fn header(&self, name: &hyper::header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
    fn pause(&self) -> Duration {
        let wanted = self.header(&RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        wanted.map_or(ASK, |wanted| wanted.clamp(ASK_AT_MOST_EVERY, ASK_AT_LEAST_EVERY))
    }
    fn words(&self) -> String {
        let line = if self.line.is_empty() { String::new() } else { format!(": {}", self.line) };
        format!("{}{line}", self.status)
    }
}

impl Webhook {
    /// Verified by the authorities of the worker's machine.
    pub(super) fn new(url: &str, token: Option<Secret>) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::refused("CO1086", why, "correct `aws.publish.webhook` in the spec");
        let url = Url::parse(url).map_err(|error| wrong(format!("the webhook's address can't be read: {error}")))?;
        let provider = rustls::crypto::ring::default_provider();
        let connector = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider).map_err(|error| {
            let message = format!("the machine's certificate authorities can't be read: {error}");
            Failure::refused("CO1086", message, "install them (ca-certificates), or name a file by SSL_CERT_FILE")
        })?;
        let connector = connector.https_or_http().enable_http1().build();
        Ok(Self { url, token, client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// Tells a publication and waits until it is done; what the receiver said last.
    ///
    /// # Errors
    /// Words for people. The same publication may be told again, with the same key.
    pub(super) async fn tell(&self, publication: &Publication<'_>) -> Result<String, String> {
        let told = timeout(LONGEST, self.told(publication)).await;
        told.unwrap_or_else(|_| Err(format!("it isn't done within {} s", LONGEST.as_secs())))
    }

    async fn told(&self, publication: &Publication<'_>) -> Result<String, String> {
        let body = serde_json::to_vec(publication).map_err(|error| error.to_string())?;
        let request = self.request(Method::POST, &self.url)?.header(CONTENT_TYPE, "application/json");
        let request = request.header("Idempotency-Key", publication.key);
        let answer = self.ask(request.body(Full::from(body)).map_err(|error| error.to_string())?).await?;
        match answer.status {
            StatusCode::ACCEPTED => self.done_at(&self.location(&answer)?, answer.pause()).await,
            _ if answer.is_done() => Ok(answer.words()),
            _ => Err(answer.words()),
        }
    }

    /// Asks how far it is until it is done. A question that isn't answered is asked again: what was taken on goes on meanwhile.
    async fn done_at(&self, place: &Url, mut pause: Duration) -> Result<String, String> {
        loop {
            sleep(pause).await;
            let request = self.request(Method::GET, place)?.body(Full::default()).map_err(|error| error.to_string())?;
            match self.ask(request).await {
                Ok(answer) if answer.is_done() => return Ok(answer.words()),
                Ok(answer) if answer.status == StatusCode::ACCEPTED || answer.passes() => pause = answer.pause(),
                Ok(answer) => return Err(answer.words()),
                Err(cause) => tracing::warn!(%cause, "a webhook's receiver doesn't say how far it is; asked again"),
            }
        }
    }

    /// On the same server, or the token would go to another one.
    fn location(&self, answer: &Answer) -> Result<Url, String> {
        let said = answer.header(&LOCATION).ok_or("it was taken on (202) without a Location by which to ask on")?;
        let place = self.url.join(said).map_err(|error| format!("its Location can't be read: {error}"))?;
        if place.origin() == self.url.origin() {
            return Ok(place);
        }
        Err(format!("its Location is on another server ({}), which isn't asked", place.origin().ascii_serialization()))
    }

    fn request(&self, method: Method, url: &Url) -> Result<hyper::http::request::Builder, String> {
        let mut request = Request::builder().method(method).uri(url.as_str());
        if let Some(token) = &self.token {
            let header = HeaderValue::try_from(format!("Bearer {}", token.expose()));
            let mut header = header.map_err(|_| "the token has characters that a header can't have".to_owned())?;
            header.set_sensitive(true);
            request = request.header(AUTHORIZATION, header);
        }
        Ok(request)
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let asked = async { read(self.client.request(request).await.map_err(|error| causes(&error))?).await };
        let late = |_| format!("no answer within {} s", ANSWER.as_secs());
        let mut answer = timeout(ANSWER, asked).await.map_err(late)??;
        if let Some(token) = &self.token {
            let who = self.url.to_string();
            match answer.status.as_u16() {
                // It may have been changed since it was read.
                401 | 403 => _ = token.refuse(&who),
                200..=299 => token.accept(&who),
                _ => {}
            }
        }
        if let Some(token) = self.token.as_ref().filter(|token| !token.expose().is_empty()) {
            // There are servers that show what they were sent.
            answer.line = answer.line.replace(token.expose(), "…");
        }
        Ok(answer)
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, String> {
    let (status, headers) = (response.status(), response.headers().clone());
    // What can't be read of it changes nothing of its status.
    let body = Limited::new(response.into_body(), READ).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Ok(Answer { status, headers, line: said(&body, false) })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    const TOKEN: &str = "secret-token-1";

    /// A server that gives these answers, one for each connection, and keeps what it was asked. An empty one cuts the connection.
    async fn receiver(answers: Vec<String>) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = vec![0; 4096];
                let read = stream.read(&mut text).await.unwrap();
                kept.lock().unwrap().push(String::from_utf8_lossy(&text[..read]).into_owned());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (address, asked)
    }

    fn answer(status: &str, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    fn webhook(address: &str) -> Webhook {
        Webhook::new(&format!("{address}/deploy"), Some(Secret::new(TOKEN))).unwrap()
    }

    fn publication() -> Publication<'static> {
        Publication {
            migration: "shop",
            endpoint: "new:5432",
            serving: "target",
            parameter: "/p",
            version: 7,
            key: "shop-7",
        }
    }

    #[tokio::test]
    async fn what_is_done_at_once_is_told_with_a_key_and_a_token() {
        let (address, asked) = receiver(vec![answer("200 OK", "", "rolled out\nand more")]).await;
        assert_eq!(webhook(&address).tell(&publication()).await.unwrap(), "200 OK: rolled out");
        let asked = asked.lock().unwrap().join("");
        let lower = asked.to_lowercase();
        assert!(asked.starts_with("POST /deploy ") && lower.contains("idempotency-key: shop-7\r\n"), "{asked}");
        assert!(lower.contains(&format!("authorization: bearer {TOKEN}\r\n")), "{asked}");
        assert!(asked.ends_with(r#""serving":"target","parameter":"/p","version":7,"key":"shop-7"}"#), "{asked}");
    }

    #[tokio::test]
    async fn what_was_taken_on_is_asked_for_until_it_is_done() {
        let accepted = answer("202 Accepted", "location: /jobs/1\r\nretry-after: 1\r\n", "");
        let again = answer("503 Service Unavailable", "retry-after: 1\r\n", "");
        let (address, asked) =
            receiver(vec![accepted.clone(), accepted, again, answer("204 No Content", "", "")]).await;
        assert_eq!(webhook(&address).tell(&publication()).await.unwrap(), "204 No Content");
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 4);
        assert!(asked[1..].iter().all(|one| one.starts_with("GET /jobs/1 ")), "{asked:?}");
    }

    #[tokio::test]
    async fn what_is_refused_or_unanswered_is_named_without_the_token() {
        let elsewhere = "location: http://example.com/jobs/1\r\n";
        let cases = [
            (answer("400 Bad Request", "", "no such\u{7} service"), "400 Bad Request: no such service"),
            (answer("401 Unauthorized", "", "not by Bearer secret-token-1"), "not by Bearer …"),
            (answer("307 Temporary Redirect", elsewhere, ""), "307 Temporary Redirect"),
            (answer("202 Accepted", elsewhere, ""), "another server (http://example.com)"),
            (answer("202 Accepted", "", ""), "without a Location"),
            (String::new(), "connection"),
        ];
        for (said, wanted) in cases {
            let (address, asked) = receiver(vec![said]).await;
            let error = webhook(&address).tell(&publication()).await.unwrap_err();
            assert!(error.contains(wanted) && !error.contains(TOKEN), "{error}");
            assert_eq!(asked.lock().unwrap().len(), 1);
        }
        let error = Webhook::new("no address", None).err().unwrap();
        assert_eq!(error.code, "CO1086");
    }

    #[test]
    fn a_receiver_is_asked_neither_all_the_time_nor_never() {
        let pause = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            Answer { status: StatusCode::ACCEPTED, headers, line: String::new() }.pause().as_secs()
        };
        assert_eq!([pause("0"), pause("7"), pause("86400"), pause("Wed, 21 Oct 2026 07:28:00 GMT")], [1, 7, 60, 2]);
    }
}
