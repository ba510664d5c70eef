// A server on a port. As most that are in use, it closes on SIGINT, lets requests finish and exits; "plain" just dies.
const [, , port, way] = process.argv;
const server = require('http').createServer((request, response) => response.end(`${process.pid}\n`));
const place = port.startsWith('/') ? { path: port } : { port: +port };
server.listen(place, () => console.log('listening ' + port));
if (way !== 'plain') {
  process.on('SIGINT', () => {
    console.log('closing');
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}
