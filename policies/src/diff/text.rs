//! The plain text of a difference.

use std::fmt;

use super::{Difference, Direction, Gap, Verdict, Witness};

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.only_b.write(f, "B", "A")?;
        self.only_a.write(f, "A", "B")
    }
}

impl Direction {
    fn write(&self, f: &mut fmt::Formatter<'_>, allowing: &str, refusing: &str) -> fmt::Result {
        match &self.verdict {
            Verdict::Nothing => writeln!(f, "{allowing} allows nothing that {refusing} does not")?,
            Verdict::Something => writeln!(f, "{allowing} allows what {refusing} does not:")?,
            Verdict::Unknown { why } => {
                writeln!(f, "unknown whether {allowing} allows what {refusing} does not: {why}")?;
            }
        }
        self.gaps.iter().try_for_each(|gap| write!(f, "{gap}"))?;
        self.bounds.iter().try_for_each(|bound| writeln!(f, "  bound: {bound}"))
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}", self.witness)?;
        writeln!(f, "    allowed by {}; {} on the other side", self.allowed_by, self.refused)?;
        if self.depends_on.is_empty() {
            return Ok(());
        }
        writeln!(f, "    depends on {}", self.depends_on.join(", "))
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.action, self.resource)?;
        for (place, (key, value)) in self.condition_keys.iter().enumerate() {
            write!(f, "{} {key} = {value}", if place == 0 { " with" } else { "," })?;
        }
        Ok(())
    }
}
