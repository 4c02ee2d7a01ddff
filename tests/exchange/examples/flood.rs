//! How fast the exchange can push: `cargo run --release -p jackfield-exchange --example flood`.
//! One connection, read raw, so that the figure is the server's and not a client's.

use jackfield_exchange::{Exchange, Options, Speed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// 126 × 15,863 trades are about two million.
const LAPS: u32 = 126;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let running = Exchange::start(Options {
        speed: Speed::Unlimited,
        laps: LAPS,
        ..Options::spot()?
    })
    .await?;
    let address = running.ws_url().replace("ws://", "");
    let mut stream = TcpStream::connect(&address).await?;
    let request = format!(
        "GET /stream?streams=btcusdt@trade/ethusdt@trade HTTP/1.1\r\nHost: {address}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let total = running.status().total;
    let begin = Instant::now();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    while running.status().frames < total {
        bytes += stream.read(&mut buffer).await?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{total} trades in {seconds:.2} s: {:.0} trades/s, {:.0} MB/s",
        total as f64 / seconds,
        bytes as f64 / seconds / 1e6
    );
    running.stop().await;
    Ok(())
}
