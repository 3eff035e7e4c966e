//! gzip on several cores, the output depending on the input and level alone: blocks of fixed size, each compressed by itself with
//! the end of the one before as its dictionary, joined into one member.

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::JoinHandle,
};

/// Bytes of input in one block. Part of what the output depends on: never change it lightly.
const BLOCK_BYTES: usize = 1 << 20;
/// How far deflate looks back.
const WINDOW_BYTES: usize = 32 << 10;
/// No name, no time, unknown system: nothing of this machine.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// A gzip writer.
pub struct ParallelGzip<W> {
    out: W,
    level: u32,
    block: Vec<u8>,
    dictionary: Vec<u8>,
    crc: Crc,
    work: Option<Workers>,
    pending: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    in_flight: usize,
}

struct Job {
    block: Vec<u8>,
    dictionary: Vec<u8>,
    level: u32,
    last: bool,
    done: Sender<io::Result<Vec<u8>>>,
}

struct Workers {
    jobs: SyncSender<Job>,
    threads: Vec<JoinHandle<()>>,
}

impl<W: Write> ParallelGzip<W> {
    /// A member that begins here. With fewer than two threads all is done by the caller's.
    pub fn new(mut out: W, level: u32, threads: usize) -> io::Result<Self> {
        out.write_all(&HEADER)?;
        let work = if threads < 2 { None } else { Some(Workers::start(threads)?) };
        Ok(ParallelGzip {
            out,
            level: level.clamp(1, 9),
            block: Vec::with_capacity(BLOCK_BYTES),
            dictionary: Vec::new(),
            crc: Crc::new(),
            work,
            pending: VecDeque::new(),
            in_flight: threads.max(1) * 2,
        })
    }

    /// Ends the member and gives the output back.
    pub fn finish(mut self) -> io::Result<W> {
        self.hand_over(true)?;
        while !self.pending.is_empty() {
            self.collect()?;
        }
        self.out.write_all(&self.crc.sum().to_le_bytes())?;
        self.out.write_all(&self.crc.amount().to_le_bytes())?;
        Ok(self.out)
    }

    fn hand_over(&mut self, last: bool) -> io::Result<()> {
        let block =
            std::mem::replace(&mut self.block, Vec::with_capacity(if last { 0 } else { BLOCK_BYTES }));
        let tail = block[block.len().saturating_sub(WINDOW_BYTES)..].to_vec();
        let dictionary = std::mem::replace(&mut self.dictionary, tail);
        self.crc.update(&block);
        let Some(work) = &self.work else {
            return self.out.write_all(&deflate(&block, &dictionary, self.level, last)?);
        };
        let (done, result) = channel();
        let job = Job { block, dictionary, level: self.level, last, done };
        work.jobs.send(job).map_err(|_| io::Error::other("a compressing thread ended early"))?;
        self.pending.push_back(result);
        if self.pending.len() > self.in_flight { self.collect() } else { Ok(()) }
    }

    fn collect(&mut self) -> io::Result<()> {
        let Some(next) = self.pending.pop_front() else { return Ok(()) };
        let deflated = next.recv().map_err(|_| io::Error::other("a compressing thread ended early"))??;
        self.out.write_all(&deflated)
    }
}

impl<W: Write> Write for ParallelGzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK_BYTES {
            self.hand_over(false)?;
        }
        let count = bytes.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Nothing: where blocks end must not depend on when somebody flushes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Workers {
    fn start(threads: usize) -> io::Result<Self> {
        let (jobs, queue) = sync_channel::<Job>(threads);
        let queue = Arc::new(Mutex::new(queue));
        let start = |_| {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name("gzip".into()).spawn(move || work(&queue))
        };
        let threads = (0..threads).map(start).collect::<io::Result<_>>()?;
        Ok(Workers { jobs, threads })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Closing the queue ends the threads.
        let (closed, _) = sync_channel(0);
        self.jobs = closed;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, dictionary, level, last, done }) = job else { return };
        // Nobody listens where the writer was dropped.
        let _ = done.send(deflate(&block, &dictionary, level, last));
    }
}

/// One block as raw deflate, ended on a byte's edge.
fn deflate(block: &[u8], dictionary: &[u8], level: u32, last: bool) -> io::Result<Vec<u8>> {
    let mut compress = Compress::new(Compression::new(level), false);
    if !dictionary.is_empty() {
        compress.set_dictionary(dictionary).map_err(io::Error::other)?;
    }
    let flush = if last { FlushCompress::Finish } else { FlushCompress::Sync };
    let mut out = Vec::with_capacity(block.len() / 2 + 1024);
    loop {
        let used = compress.total_in() as usize;
        let room = out.capacity() - out.len();
        let status = compress.compress_vec(&block[used..], &mut out, flush).map_err(io::Error::other)?;
        let filled = out.len() == out.capacity();
        let all_in = compress.total_in() as usize == block.len();
        match status {
            Status::StreamEnd => return Ok(out),
            // A flush is complete when it leaves room.
            _ if !last && all_in && !filled => return Ok(out),
            Status::BufError if room > 0 && !filled => {
                return Err(io::Error::other("deflate made no progress"));
            }
            _ => out.reserve(block.len() / 2 + 1024),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, gunzip::Gunzip};
    use std::io::Read;

    fn gzip(input: &[u8], level: u32, threads: usize, piece: usize) -> Vec<u8> {
        let mut gz = ParallelGzip::new(Vec::new(), level, threads).unwrap();
        for piece in input.chunks(piece) {
            gz.write_all(piece).unwrap();
        }
        gz.finish().unwrap()
    }

    fn text(len: usize) -> Vec<u8> {
        (0u64..).flat_map(|i| format!("{} {i} ", i * i % 977).into_bytes()).take(len).collect()
    }

    #[test]
    fn output_is_gzip_and_the_same_on_any_number_of_threads() {
        for len in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 12345] {
            let input = text(len);
            let one = gzip(&input, 5, 1, 10_007);
            for threads in [2, 3, 7] {
                assert!(gzip(&input, 5, threads, 1 << 16) == one, "{len} bytes on {threads} threads");
            }
            let mut out = Vec::new();
            Gunzip::new(&one[..], &Limits { gzip_members: 1, ..Limits::default() })
                .read_to_end(&mut out)
                .unwrap();
            assert!(out == input);
            let mut other = Vec::new();
            flate2::read::GzDecoder::new(&one[..]).read_to_end(&mut other).unwrap();
            assert!(other == input);
        }
    }

    #[test]
    fn what_cannot_be_compressed_still_fits() {
        let mut state = 7u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(2 * BLOCK_BYTES + 99)
        .collect();
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(&gzip(&noise, 9, 2, 4096)[..]).read_to_end(&mut out).unwrap();
        assert!(out == noise);
    }

    #[test]
    fn dropping_it_half_way_ends_the_threads() {
        let mut gz = ParallelGzip::new(Vec::new(), 1, 4).unwrap();
        gz.write_all(&text(5 * BLOCK_BYTES)).unwrap();
        drop(gz);
    }
}
