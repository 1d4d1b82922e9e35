//! Bytes of one simulated file: what programs read, and what a loss of power leaves.

use std::io;

use crate::seeded::Seeded;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Inode {
    /// What reads see.
    seen: Vec<u8>,
    /// What a loss of power leaves at least.
    durable: Vec<u8>,
    /// Changes since the last sync, oldest first.
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    SetSize(usize),
}

fn position(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

fn write_into(target: &mut Vec<u8>, bytes: &[u8], at: usize) {
    if target.len() < at + bytes.len() {
        target.resize(at + bytes.len(), 0);
    }
    target[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Inode {
    pub(super) fn size(&self) -> u64 {
        self.seen.len() as u64
    }

    pub(super) fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let at = position(at);
        let end = at.saturating_add(buffer.len());
        let found = self.seen.get(at..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8], at: u64) {
        let at = position(at);
        write_into(&mut self.seen, bytes, at);
        self.pending.push(Change::Write { at, bytes: bytes.to_vec() });
    }

    pub(super) fn set_size(&mut self, size: u64) {
        let size = position(size);
        self.seen.resize(size, 0);
        self.pending.push(Change::SetSize(size));
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(&mut self.durable);
        }
    }

    /// After a failed sync the system may drop its dirty pages' mark: reads still see the bytes,
    /// and no later sync will write them.
    pub(super) fn forget_dirty(&mut self) {
        self.pending.clear();
    }

    pub(super) fn damage(&mut self, at: u64, xor: u8) -> io::Result<()> {
        let at = position(at);
        for bytes in [&mut self.seen, &mut self.durable] {
            *bytes.get_mut(at).ok_or(io::ErrorKind::UnexpectedEof)? ^= xor;
        }
        Ok(())
    }

    /// Keeps what is durable and draws what else reached the disk.
    pub(super) fn lose_power(&mut self, draws: &mut Seeded) {
        let pending = std::mem::take(&mut self.pending);
        match draws.below(0..4) {
            0 => {}
            1 => self.keep_first_part(pending, draws),
            2 => self.keep_sectors(pending, draws),
            _ => pending.into_iter().for_each(|change| change.apply(&mut self.durable)),
        }
        self.seen = self.durable.clone();
    }

    fn keep_first_part(&mut self, pending: Vec<Change>, draws: &mut Seeded) {
        let whole = position(draws.below(0..pending.len() as u64 + 1));
        for (i, mut change) in pending.into_iter().enumerate() {
            if i > whole {
                return;
            }
            if i == whole
                && let Change::Write { bytes, .. } = &mut change
            {
                bytes.truncate(position(draws.below(0..bytes.len() as u64 + 1)));
            }
            change.apply(&mut self.durable);
        }
    }

    fn keep_sectors(&mut self, pending: Vec<Change>, draws: &mut Seeded) {
        for change in pending {
            match change {
                Change::Write { at, bytes } => {
                    let mut start = 0;
                    while start < bytes.len() {
                        let to_boundary = SECTOR_BYTES - (at + start) % SECTOR_BYTES;
                        let end = bytes.len().min(start + to_boundary);
                        if draws.chance(500) {
                            write_into(&mut self.durable, &bytes[start..end], at + start);
                        }
                        start = end;
                    }
                }
                Change::SetSize(size) if draws.chance(500) => self.durable.resize(size, 0),
                Change::SetSize(_) => {}
            }
        }
    }
}

impl Change {
    fn apply(self, target: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => write_into(target, &bytes, at),
            Self::SetSize(size) => target.resize(size, 0),
        }
    }
}
