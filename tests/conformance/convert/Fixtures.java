// PKCS#12 files as Java makes them: arguments DIR KEY.pem CERTS.pem (leaf first). Run by ./make alone.
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;

public class Fixtures {
	static void store(String file, String password, PrivateKey key, Certificate[] chain) throws Exception {
		KeyStore store = KeyStore.getInstance("PKCS12");
		store.load(null, null);
		store.setKeyEntry("site", key, password.toCharArray(), chain);
		try (FileOutputStream out = new FileOutputStream(file)) {
			store.store(out, password.toCharArray());
		}
	}

	public static void main(String[] args) throws Exception {
		String text = Files.readString(Path.of(args[1])).replaceAll("-----[A-Z ]+-----|\\s", "");
		PrivateKey key = KeyFactory.getInstance("RSA").generatePrivate(
			new PKCS8EncodedKeySpec(Base64.getDecoder().decode(text)));
		Certificate[] chain;
		try (FileInputStream in = new FileInputStream(args[2])) {
			chain = CertificateFactory.getInstance("X.509").generateCertificates(in).toArray(new Certificate[0]);
		}
		store(args[0] + "/java.pfx", "", key, chain);
		System.setProperty("keystore.pkcs12.legacy", "");
		store(args[0] + "/java-legacy.pfx", "", key, chain);
	}
}
