// A server on Node that has its pool of threads do jobs, as many at once as UV_THREADPOOL_SIZE says. GET /hash computes
// there for some 15 ms, GET /file reads this file there in four jobs, and what else comes is answered at once. It says
// where it listens, and ends when its standard input is closed.
"use strict";
const { pbkdf2, pbkdf2Sync } = require("crypto");
const { readFile } = require("fs");
const http = require("http");

function computes(rounds) {
  const from = process.cpuUsage();
  pbkdf2Sync("password", "salt", rounds, 64, "sha512");
  return process.cpuUsage(from).user;
}

computes(20000);
const rounds = Math.round((20000 * 15000) / computes(20000));

const server = http.createServer((request, response) => {
  const answer = (error) => response.end(error ? "no" : "ok");
  if (request.url.startsWith("/hash")) pbkdf2("password", "salt", rounds, 64, "sha512", answer);
  else if (request.url.startsWith("/file")) readFile(__filename, answer);
  else answer();
});
server.listen(0, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${server.address().port}`));
process.stdin.on("end", () => process.exit(0)).resume();
