mod hostile;
mod plain;
mod random;
