// Listens as it is told to, and answers with what it knows of itself.
const [, , ...places] = process.argv;
const cluster = require('cluster');
const dgram = require('dgram');
const http = require('http');

const about = () => JSON.stringify({
  pid: process.pid,
  worker: cluster.isWorker,
  id: cluster.worker && cluster.worker.id,
  instance: process.env.NODE_APP_INSTANCE,
  connected: process.connected,
  channel: process.env.NODE_CHANNEL_FD,
});

process.on('message', () => {});
if (process.send) process.send({ hello: 'primary', text: 'x'.repeat(100000) });

for (const place of places) {
  if (place.startsWith('udp:')) {
    const socket = dgram.createSocket('udp4');
    socket.on('message', (text, from) => socket.send(about(), from.port, from.address));
    socket.bind(+place.slice(4), '127.0.0.1', () => console.log('bound ' + place));
    continue;
  }
  const server = http.createServer((request, response) => {
    if (request.url === '/slow') setTimeout(() => response.end(about()), 200);
    else response.end(about());
  });
  server.on('error', (error) => {
    console.log(`${place}: ${error.code} ${error.syscall}`);
    if (!process.env.STAY) process.exit(7);
  });
  const [host, port] = place.includes(':') ? place.split(':') : [undefined, place];
  const address = place.startsWith('/') ? { path: place } : { host, port: +port };
  server.listen(address, () => console.log('listening ' + place));
}
