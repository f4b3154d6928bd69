import java.io.File;
import java.math.BigInteger;
import java.nio.file.Files;
import java.security.Security;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.X509CRLEntryHolder;
import org.bouncycastle.cert.X509CRLHolder;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.ocsp.BasicOCSPResp;
import org.bouncycastle.cert.ocsp.OCSPResp;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.ContentVerifierProvider;
import org.bouncycastle.operator.jcajce.JcaContentVerifierProviderBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.tsp.TimeStampResponse;
import org.bouncycastle.tsp.TimeStampToken;

/**
 * What BouncyCastle says of DER files, one line for each question: `request FILE`, `certificate FILE ISSUER`, `crl FILE ISSUER LEAF`,
 * `ocsp FILE`, `timestamp FILE TSA`. A line begins with `valid` or `invalid`; the exit code says nothing.
 */
public class Judge {
  public static void main(String[] args) throws Exception {
    Security.addProvider(new BouncyCastleProvider());
    for (int i = 0; i < args.length;) {
      String kind = args[i++];
      try {
        switch (kind) {
          case "request": {
            PKCS10CertificationRequest request = new PKCS10CertificationRequest(read(args[i++]));
            say(request.isSignatureValid(by(request.getSubjectPublicKeyInfo())), request.getSubject().toString());
            break;
          }
          case "certificate": {
            X509CertificateHolder certificate = certificate(args[i++]);
            say(certificate.isSignatureValid(by(certificate(args[i++]).getSubjectPublicKeyInfo())), "");
            break;
          }
          case "crl": {
            X509CRLHolder crl = new X509CRLHolder(read(args[i++]));
            boolean valid = crl.isSignatureValid(by(certificate(args[i++]).getSubjectPublicKeyInfo()));
            BigInteger serial = certificate(args[i++]).getSerialNumber();
            X509CRLEntryHolder entry = crl.getRevokedCertificate(serial);
            say(valid, entry == null ? "good" : "revoked");
            break;
          }
          case "ocsp": {
            BasicOCSPResp basic = (BasicOCSPResp) new OCSPResp(read(args[i++])).getResponseObject();
            boolean valid = basic.isSignatureValid(by(basic.getCerts()[0].getSubjectPublicKeyInfo()));
            say(valid, basic.getResponses()[0].getCertStatus() == null ? "good" : "revoked");
            break;
          }
          case "timestamp": {
            TimeStampToken token = new TimeStampResponse(read(args[i++])).getTimeStampToken();
            X509CertificateHolder tsa = certificate(args[i++]);
            token.validate(new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(tsa));
            say(true, token.getTimeStampInfo().getGenTime().toInstant().toString());
            break;
          }
          default:
            throw new IllegalArgumentException(kind);
        }
      } catch (Exception problem) {
        System.out.println("invalid " + problem.getMessage());
      }
    }
  }

  private static void say(boolean valid, String more) {
    System.out.println((valid ? "valid " : "invalid ") + more);
  }

  private static byte[] read(String file) throws Exception {
    return Files.readAllBytes(new File(file).toPath());
  }

  private static X509CertificateHolder certificate(String file) throws Exception {
    return new X509CertificateHolder(read(file));
  }

  private static ContentVerifierProvider by(SubjectPublicKeyInfo key) throws Exception {
    return new JcaContentVerifierProviderBuilder().setProvider("BC").build(key);
  }
}
