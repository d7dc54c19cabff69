//! Numbers that stand for values: the same on every machine and in every version.

/// 64-bit FNV-1a over words. It tells values apart; it does not withstand forgery.
#[derive(Clone, Copy, Debug)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Adds a number.
    pub fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0100_0000_01b3);
    }

    /// Adds each byte of a text.
    pub fn bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.word(u64::from(*byte)));
    }

    /// What stands for all that was added.
    pub fn value(self) -> u64 {
        self.0
    }
}
