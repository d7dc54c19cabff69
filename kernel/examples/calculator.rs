//! A kernel that adds numbers.

use percept_kernel::{ExecuteError, ExecuteResult, Interpreter, Io, KernelInfo, LanguageInfo, MimeBundle};

struct Calculator;

impl Interpreter for Calculator {
    fn info(&self) -> KernelInfo {
        let language = LanguageInfo { name: "sums".into(), file_extension: ".sum".into(), ..Default::default() };
        KernelInfo { implementation: "calculator".into(), language, ..Default::default() }
    }

    fn execute(&mut self, code: &str, _io: &Io) -> ExecuteResult {
        let numbers: Result<Vec<f64>, _> = code.split('+').map(|number| number.trim().parse()).collect();
        let numbers = numbers.map_err(|error| ExecuteError::new("NotANumber", error.to_string()))?;
        Ok(Some(MimeBundle::text(numbers.iter().sum::<f64>().to_string())))
    }
}

fn main() -> Result<(), percept_kernel::Error> {
    let connection_file = std::env::args_os().nth(1).unwrap_or_default();
    percept_kernel::run(connection_file.as_ref(), || Calculator)
}
