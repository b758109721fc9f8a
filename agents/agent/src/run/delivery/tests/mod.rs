mod grants;
mod simulated;
mod spans;
