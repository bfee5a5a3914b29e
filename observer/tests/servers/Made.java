import com.sun.net.httpserver.HttpServer;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.net.InetAddress;
import java.net.InetSocketAddress;

/**
 * A server that computes for some 40 ms of CPU in one method before it answers. It says where it listens, and ends when
 * its standard input is closed.
 */
class Made {
    static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
    static volatile long sum;

    static long compute() {
        long found = 0;
        long until = THREADS.getCurrentThreadCpuTime() + 40_000_000;
        while (THREADS.getCurrentThreadCpuTime() < until) {
            for (int i = 0; i < 1_000_000; i++) {
                found += i * 31L ^ found >>> 3;
            }
        }
        return found;
    }

    public static void main(String[] arguments) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 64);
        server.createContext("/", exchange -> {
            sum += compute();
            exchange.sendResponseHeaders(200, 2);
            exchange.getResponseBody().write("ok".getBytes());
            exchange.close();
        });
        server.start();
        System.out.println("listening on 127.0.0.1:" + server.getAddress().getPort());
        while (System.in.read() >= 0) {}
        System.exit(0);
    }
}
