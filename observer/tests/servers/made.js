// A server that computes for some 40 ms of CPU in one function before it answers. It says where it listens, and ends
// when its standard input is closed.
"use strict";
const http = require("http");

function compute() {
  let found = 0;
  const from = process.cpuUsage();
  while (process.cpuUsage(from).user < 40000) {
    for (let i = 0; i < 300000; i++) found = (found + i * 31) | 0;
  }
  return found;
}

const server = http.createServer((request, response) => {
  response.end(compute() === 1 ? "no" : "ok");
});
server.listen(0, "127.0.0.1", () => console.log(`listening on 127.0.0.1:${server.address().port}`));
process.stdin.on("end", () => process.exit(0)).resume();
