"""The real servers that tests run against, each a child process with start/stop/kill/restart."""
