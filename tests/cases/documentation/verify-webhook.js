import crypto from 'crypto';

function verifyWebhook(payload, signature, secret) {
 const expected = crypto
 .createHmac('sha256', secret)
 .update(payload)
 .digest('hex');
 return crypto.timingSafeEqual(
 Buffer.from(signature),
 Buffer.from(expected)
 );
}

app.post('/api/webhook', (req, res) => {
 const signature = req.headers['x-prospo-signature'];
 const isValid = verifyWebhook(JSON.stringify(req.body), signature, process.env.WEBHOOK_SECRET);
 if (!isValid) return res.status(401).send('Invalid signature');

 const { event, data } = req.body;
 if (event === 'generation.completed') {
 console.log('Output ready:', data.output_url, 'cost:', data.cost_usd);
 }
 res.status(200).send('OK');
});
