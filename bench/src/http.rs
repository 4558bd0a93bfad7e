//! A client with little overhead: one connection, one request at a time, without an HTTP library.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// A keep-alive connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    /// Network errors.
    pub fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Waits this long for an answer, instead of 30 seconds.
    ///
    /// # Errors
    /// Network errors.
    pub fn wait_for(&mut self, time: Duration) -> io::Result<()> {
        self.stream.get_mut().set_read_timeout(Some(time))
    }

    /// Posts JSON; returns the status and the body.
    ///
    /// # Errors
    /// Network errors, and a response that is not HTTP.
    pub fn post(&mut self, path: &str, token: &str, body: &serde_json::Value) -> io::Result<(u16, String)> {
        self.exchange(&posting(path, token, body))
    }

    /// Sends a message of a sender on the REST channel; returns the status and the body.
    ///
    /// # Errors
    /// Network errors, and a response that is not HTTP.
    pub fn say(&mut self, sender: &str, text: &str) -> io::Result<(u16, String)> {
        self.exchange(&saying(sender, text))
    }

    /// Sends a request; returns the status and the body.
    ///
    /// # Errors
    /// Network errors, and a response that is not HTTP.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<(u16, String)> {
        self.exchange(&request(method, path, headers, body))
    }

    /// Sends the bytes of a request; returns the status and the body.
    ///
    /// # Errors
    /// Network errors, and a response that is not HTTP.
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<(u16, String)> {
        self.stream.get_mut().write_all(request)?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<(u16, String)> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("not an HTTP response: {line:?}")))?;
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// The bytes of a message of a sender on the REST channel.
pub fn saying(sender: &str, text: &str) -> Vec<u8> {
    posting("/webhooks/rest/webhook", "", &serde_json::json!({ "sender": sender, "message": text }))
}

/// The bytes of a POST request with a JSON body.
pub fn posting(path: &str, token: &str, body: &serde_json::Value) -> Vec<u8> {
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    request("POST", path, &headers, body.to_string().as_bytes())
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
