//! What tests of several commands need.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    context::Context,
    printer::Printer,
    settings::{ColorChoice, GlobalArgs, OutputFormat, Settings, UserFolders},
};

/// Settings of nobody, and no talk.
pub(super) fn context() -> Context {
    let folders = UserFolders { config: None, data: Some("/nowhere".into()) };
    let settings = Settings::load(&GlobalArgs::default(), &folders).unwrap();
    Context { settings, printer: Printer::new(OutputFormat::Human, ColorChoice::Never, true) }
}

/// Address of a provider that gives these answers, one after the other and the last one for ever.
pub(super) fn provider_endpoint(answers: Vec<(u16, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut answers = VecDeque::from(answers);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (status, body) = answers.front().unwrap().clone();
            if answers.len() > 1 {
                answers.pop_front();
            }
            answer(stream.unwrap(), status, &body);
        }
    });
    endpoint
}

fn answer(mut stream: TcpStream, status: u16, body: &str) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        let read = stream.read(&mut buffer).unwrap();
        request.extend_from_slice(&buffer[..read]);
    }
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .unwrap();
}
