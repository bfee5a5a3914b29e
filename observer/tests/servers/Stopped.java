// A server whose garbage is collected by stopping all of its threads.
//
// `java -XX:+UseSerialGC Stopped.java --until-stdin-closes`. Keeps a heap of small objects, so that a collection takes
// some ten milliseconds. `/ping` answers at once, `/collect` after the garbage was collected.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

public class Stopped {
    static final byte[][] LIVE = new byte[600_000][];

    public static void main(String[] arguments) throws Exception {
        // Else the end of each answer is held back by Nagle's algorithm.
        System.setProperty("sun.net.httpserver.nodelay", "true");
        for (int at = 0; at < LIVE.length; at++) {
            LIVE[at] = new byte[16];
        }
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 128);
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.createContext("/ping", Stopped::answer);
        server.createContext("/collect", exchange -> {
            System.gc();
            answer(exchange);
        });
        server.start();
        System.out.println("listening on " + server.getAddress().getAddress().getHostAddress() + ":" + server.getAddress().getPort());
        System.out.flush();
        while (System.in.read() >= 0) {
        }
        System.exit(0);
    }

    static void answer(HttpExchange exchange) throws IOException {
        byte[] answer = "ok\n".getBytes();
        exchange.sendResponseHeaders(200, answer.length);
        exchange.getResponseBody().write(answer);
        exchange.close();
    }
}
