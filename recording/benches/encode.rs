//! What every byte of a recording costs: encoding, compressing, and reading back 40 MB of mixed terminal text.

use divan::Bencher;
use divan::counter::BytesCount;
use recording::{
    AccountId, AgentId, AsciicastEncoder, CaptureKind, Compressor, CutPolicy, DocumentFormat, InstanceId,
    Micros, RecordKind, Recorder, SealingKey, Segment, SegmentCutter, SpoolReader, SpoolRecord, SpoolWriter,
    Start, TerminalSessionToken, TerminalSize, Timestamp, decode_segment,
};

const BYTES: usize = 40 * 1000 * 1000;

/// What a terminal gives to one read.
const READ_BYTES: usize = 4096;

fn main() {
    divan::main();
}

/// Colours, text of several scripts, hexadecimal dumps and progress bars: the same at every run.
fn terminal_text() -> Vec<u8> {
    let mut state = 7u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut text = Vec::with_capacity(BYTES + 200);
    while text.len() < BYTES {
        let number = random();
        let line = match number % 8 {
            0 | 1 => format!(
                "\u{1b}[3{}m{:08x}\u{1b}[0m compiling crate-{} v0.{}.{}\r\n",
                number % 8,
                number >> 32,
                number % 300,
                number % 40,
                number % 9
            ),
            2 => format!("{:08x}  {:016x} {:016x}  |................|\r\n", number >> 40, random(), random()),
            3 => format!(
                "\r\u{1b}[K[{}{}] {:3}%",
                "#".repeat((number % 50) as usize),
                " ".repeat(50 - (number % 50) as usize),
                number % 101
            ),
            4 => "über Größe – naïve café, 日本語のテキスト, привет мир, ✓ ✗ → ←\r\n".to_owned(),
            5 => format!(
                "-rw-r--r-- 1 root root {:>9} Nov 20 10:{:02} \u{1b}[01;34mfile-{:x}\u{1b}[0m\r\n",
                number % 1_000_000_000,
                number % 60,
                number
            ),
            6 => format!(
                "\u{1b}[{};{}H\u{1b}[7m{:>6}\u{1b}[27m",
                number % 24 + 1,
                number % 80 + 1,
                number % 100_000
            ),
            _ => "the quick brown fox jumps over the lazy dog and prints \"a quoted\\path\"\tand a tab\r\n"
                .to_owned(),
        };
        text.extend_from_slice(line.as_bytes());
    }
    text.truncate(BYTES);
    text
}

fn reads(text: &[u8]) -> impl Iterator<Item = (Micros, &[u8])> {
    text.chunks(READ_BYTES).zip(1u64..).map(|(read, number)| (Micros::new(number * 137), read))
}

fn cutter() -> SegmentCutter {
    let start = Start {
        format: DocumentFormat::V1,
        recording: TerminalSessionToken::generate(),
        kind: CaptureKind::Terminal,
        account: AccountId::parse("1234567890123456").expect("an account"),
        instance: InstanceId::parse("i-example").expect("an instance"),
        agent: AgentId::generate(),
        agent_sealing_key: SealingKey::generate().public_key(),
        agent_recording_number: 1,
        previous_manifest: None,
        configuration_revision: 1,
        recorder: Recorder::SameUser,
        notes: vec![],
        failure_policy: None,
        delivery_mode: None,
        started_at: Timestamp::from_millis(1_700_103_579_123),
        terminal: Some(TerminalSize { columns: 80, rows: 24 }),
        command: None,
        claimed_user: None,
        term: None,
        shell: None,
        agent_version: None,
    };
    SegmentCutter::new(&start, &start.to_document(), CutPolicy::default())
}

fn segments(text: &[u8]) -> Vec<Segment> {
    let mut compressor = Compressor::new().expect("a context");
    let mut cutter = cutter();
    let mut segments = Vec::new();
    for (at, read) in reads(text) {
        cutter.push_output(at, read);
        if cutter.is_full() {
            segments.extend(cutter.cut(&mut compressor).expect("a segment"));
        }
    }
    segments.extend(cutter.finish(&mut compressor).expect("a segment"));
    segments
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn spool(bencher: Bencher<'_, '_>) {
    let text = terminal_text();
    bencher.counter(BytesCount::new(BYTES)).bench_local(|| {
        let mut writer = SpoolWriter::new(std::io::sink(), 0);
        for (at, payload) in reads(&text) {
            writer.append(at, RecordKind::TERMINAL_OUTPUT, payload).expect("a sink takes everything");
        }
        writer.good_end()
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn read_spool(bencher: Bencher<'_, '_>) {
    let text = terminal_text();
    let mut writer = SpoolWriter::new(Vec::new(), 0);
    let records =
        reads(&text).map(|(at, payload)| SpoolRecord { at, kind: RecordKind::TERMINAL_OUTPUT, payload });
    writer.append_batch(records).expect("memory takes everything");
    let spool = writer.into_inner();
    bencher.counter(BytesCount::new(BYTES)).bench_local(|| {
        let mut reader = SpoolReader::new(&spool[..], 0);
        let mut records = 0;
        while reader.next_record().expect("memory is readable").is_some() {
            records += 1;
        }
        records
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn encode(bencher: Bencher<'_, '_>) {
    let text = terminal_text();
    let mut lines = Vec::new();
    bencher.counter(BytesCount::new(BYTES)).bench_local(|| {
        let mut encoder = AsciicastEncoder::default();
        for (at, read) in reads(&text) {
            if lines.len() > 1024 * 1024 {
                lines.clear();
            }
            encoder.output(at, read, &mut lines);
        }
        encoder.totals()
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn encode_and_compress(bencher: Bencher<'_, '_>) {
    let text = terminal_text();
    bencher.counter(BytesCount::new(BYTES)).bench_local(|| segments(&text));
}

/// What zstd alone makes of the same text: what the row above is measured against.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn compress_raw(bencher: Bencher<'_, '_>) {
    let text = terminal_text();
    let mut context = zstd::bulk::Compressor::new(3).expect("a context");
    bencher.counter(BytesCount::new(BYTES)).bench_local(|| {
        text.chunks(1024 * 1024).map(|part| context.compress(part).expect("a frame").len()).sum::<usize>()
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn decode(bencher: Bencher<'_, '_>) {
    let segments = segments(&terminal_text());
    bencher.counter(BytesCount::new(BYTES)).bench_local(|| {
        segments
            .iter()
            .map(|segment| decode_segment(&segment.bytes).expect("a segment").events.len())
            .sum::<usize>()
    });
}
