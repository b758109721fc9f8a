//! actix-web's plain JSON hello, for `make bench` to measure the control plane beside.
//!
//!     hello 127.0.0.1:8081
#![allow(clippy::print_stderr, reason = "a program that is run by hand")]

use actix_web::{App, HttpServer, get, web};

#[derive(serde::Serialize)]
struct Hello {
    message: &'static str,
}

#[get("/")]
async fn hello() -> web::Json<Hello> {
    web::Json(Hello { message: "hello" })
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: hello ADDRESS");
        std::process::exit(2);
    };
    HttpServer::new(|| App::new().service(hello)).workers(2).bind(address)?.run().await
}
