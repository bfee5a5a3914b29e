// A server in whose event loop the handler of /child waits for a process that sleeps for 50 ms. It says where it
// listens, and ends when its standard input is closed.
"use strict";
const http = require("http");
const { spawnSync } = require("child_process");

const server = http.createServer((request, response) => {
  if (request.url.startsWith("/child")) spawnSync("sleep", ["0.05"]);
  response.end("ok");
});
server.listen(0, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${server.address().port}`));
process.stdin.on("end", () => process.exit(0)).resume();
