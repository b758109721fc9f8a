//! How fast each observer is: 1 GiB of content through memory, in pieces of 64 KiB.
//!
//! `cargo bench -p transfer-observer`

use divan::{Bencher, black_box, counter::BytesCount};
use recording::Micros;
use transfer_observer::{Observer, OutputLimit, classify};

const CONTENT_BYTES: usize = 1024 * 1024 * 1024;
const BLOCK_BYTES: usize = 32 * 1024;
const PIECE_BYTES: usize = 64 * 1024;

fn main() {
    divan::main();
}

fn observer(command: &str) -> Observer {
    let transfer = classify(command.as_bytes(), None).expect("it is a transfer");
    Observer::new(&transfer, Micros::ZERO)
}

fn packet(kind: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    [&(body.len() as u32 + 1).to_be_bytes()[..], &[kind], &body].concat()
}

fn input(observer: &mut Observer, bytes: &[u8]) {
    for piece in bytes.chunks(PIECE_BYTES) {
        observer.input(Micros::ZERO, piece);
        black_box(observer.take_events());
    }
}

fn output(observer: &mut Observer, bytes: &[u8]) {
    for piece in bytes.chunks(PIECE_BYTES) {
        black_box(observer.output(Micros::ZERO, piece));
        black_box(observer.take_events());
    }
}

fn sftp(flags: u32) -> Observer {
    let mut observer = observer("sftp-server");
    input(&mut observer, &packet(1, &[&3u32.to_be_bytes()]));
    output(&mut observer, &packet(2, &[&3u32.to_be_bytes()]));
    let open = packet(3, &[&[0; 4], &[0, 0, 0, 1, b'a'], &flags.to_be_bytes(), &[0; 4]]);
    input(&mut observer, &open);
    output(&mut observer, &packet(102, &[&[0; 4], &[0, 0, 0, 1, b'h']]));
    observer
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn sftp_upload(bencher: Bencher<'_, '_>) {
    let block = vec![7; BLOCK_BYTES];
    let write =
        packet(6, &[&[0; 4], &[0, 0, 0, 1, b'h'], &[0; 8], &(BLOCK_BYTES as u32).to_be_bytes(), &block]);
    let status = packet(101, &[&[0; 4], &[0; 4], &[0; 8]]);
    let mut batch = write.repeat(64);
    bencher.counter(BytesCount::new(CONTENT_BYTES)).with_inputs(|| sftp(26)).bench_local_values(
        |mut observer| {
            for first in (0..CONTENT_BYTES / BLOCK_BYTES).step_by(64) {
                let mut answers = Vec::with_capacity(64 * status.len());
                for (place, write) in batch.chunks_mut(write.len()).enumerate() {
                    let number = (first + place) as u32;
                    write[5..9].copy_from_slice(&number.to_be_bytes());
                    write[14..22].copy_from_slice(&(u64::from(number) * BLOCK_BYTES as u64).to_be_bytes());
                    answers.extend_from_slice(&status);
                    let at = answers.len() - status.len() + 5;
                    answers[at..at + 4].copy_from_slice(&number.to_be_bytes());
                }
                input(&mut observer, &batch);
                output(&mut observer, &answers);
            }
            assert!(observer.is_understood());
        },
    );
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn sftp_download(bencher: Bencher<'_, '_>) {
    let length = (BLOCK_BYTES as u32).to_be_bytes();
    let read = packet(5, &[&[0; 4], &[0, 0, 0, 1, b'h'], &[0; 8], &length]);
    let data = packet(103, &[&[0; 4], &length, &vec![7; BLOCK_BYTES]]);
    let mut requests = read.repeat(64);
    let mut batch = data.repeat(64);
    bencher.counter(BytesCount::new(CONTENT_BYTES)).with_inputs(|| sftp(1)).bench_local_values(
        |mut observer| {
            for first in (0..CONTENT_BYTES / BLOCK_BYTES).step_by(64) {
                let pairs = requests.chunks_mut(read.len()).zip(batch.chunks_mut(data.len()));
                for (place, (read, data)) in pairs.enumerate() {
                    let number = (first + place) as u32;
                    read[5..9].copy_from_slice(&number.to_be_bytes());
                    read[14..22].copy_from_slice(&(u64::from(number) * BLOCK_BYTES as u64).to_be_bytes());
                    data[5..9].copy_from_slice(&number.to_be_bytes());
                }
                input(&mut observer, &requests);
                output(&mut observer, &batch);
            }
            assert!(observer.is_understood());
        },
    );
}

fn pieces_of(bencher: Bencher<'_, '_>, begun: impl Fn() -> Observer, take: impl Fn(&mut Observer, &[u8])) {
    let piece = vec![7; PIECE_BYTES];
    bencher.counter(BytesCount::new(CONTENT_BYTES)).with_inputs(begun).bench_local_values(|mut observer| {
        for _ in 0..CONTENT_BYTES / PIECE_BYTES {
            take(&mut observer, &piece);
        }
        assert!(observer.is_understood());
    });
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn scp_upload(bencher: Bencher<'_, '_>) {
    let begun = || {
        let mut observer = observer("scp -t /srv");
        output(&mut observer, b"\0");
        input(&mut observer, format!("C0644 {CONTENT_BYTES} a\n").as_bytes());
        output(&mut observer, b"\0");
        observer
    };
    pieces_of(bencher, begun, input);
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn rsync_download(bencher: Bencher<'_, '_>) {
    let begun = || {
        let mut observer = observer("rsync --server --sender . a");
        output(&mut observer, &[31, 0, 0, 0]);
        observer
    };
    pieces_of(bencher, begun, output);
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn git_upload_pack(bencher: Bencher<'_, '_>) {
    let line = [&b"fff0"[..], &[7; 65_516][..]].concat();
    let lines = line.repeat(16);
    bencher
        .counter(BytesCount::new(CONTENT_BYTES))
        .with_inputs(|| observer("git-upload-pack a"))
        .bench_local_values(|mut observer| {
            for _ in 0..CONTENT_BYTES / lines.len() {
                output(&mut observer, &lines);
            }
            assert!(observer.is_understood());
        });
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn output_beyond_the_limit(bencher: Bencher<'_, '_>) {
    let piece = vec![7; PIECE_BYTES];
    bencher.counter(BytesCount::new(CONTENT_BYTES)).bench_local(|| {
        let mut limit = OutputLimit::new(recording::events::fact::Output::Output, 0);
        for _ in 0..CONTENT_BYTES / PIECE_BYTES {
            black_box(limit.take(&piece));
        }
        limit.end()
    });
}
