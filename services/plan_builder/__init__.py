"""The plan builder: decides what is to be done for a payment, and says why; it does nothing itself.

It owns no data. The gateway asks it for the plan of each request; it reads configurations from
MerchantConfigService and the processors' abilities from ProcessorService, and keeps both at hand.
"""
